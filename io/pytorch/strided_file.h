// An ArrayFile whose arrays' elements lie anywhere in files, at strides.
#ifndef HALFTONE_IO_PYTORCH_STRIDED_FILE_H_
#define HALFTONE_IO_PYTORCH_STRIDED_FILE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/array.h"
#include "io/array_file.h"
#include "io/input_file.h"

namespace halftone {

// Where an array's elements lie: element [i, j, ...] at offset + SizeOf(type) * (i * strides[0] + ...).
struct StridedPlace {
  const InputFile* file = nullptr;
  uint64_t offset = 0;           // bytes
  std::vector<int64_t> strides;  // elements, >= 0, one a dimension
};

class StridedFile final : public ArrayFile {
 public:
  // `files` are those that the places name; arrays[i] lies at places[i], all of its elements within the file,
  // as has been checked. `big_endian`: so are the elements in the files.
  StridedFile(absl::string_view format, std::vector<std::unique_ptr<InputFile>> files,
              std::vector<FileArray> arrays, std::vector<StridedPlace> places, bool big_endian)
      : ArrayFile(format, std::move(arrays)),
        files_(std::move(files)),
        places_(std::move(places)),
        big_endian_(big_endian) {}

  bool random_access() const override { return true; }

 private:
  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override;

  std::vector<std::unique_ptr<InputFile>> files_;
  std::vector<StridedPlace> places_;
  bool big_endian_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_PYTORCH_STRIDED_FILE_H_
