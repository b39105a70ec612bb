// An ArrayFile whose arrays are ranges of a file's bytes.
#ifndef HALFTONE_IO_RANGE_FILE_H_
#define HALFTONE_IO_RANGE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/array.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "io/input_file.h"

namespace halftone {

// Gives f the bytes [begin, end) of the file, elements of `size` bytes each, in chunks.
absl::Status ReadElements(const InputFile& file, uint64_t begin, uint64_t end, size_t size, bool big_endian,
                          ChunkFunction f);

// Gives f the codes [begin, end) of those of `bits` < 8 bits that lie packed in the file from `offset` on
// (quant/pack.h), one a byte, in chunks.
absl::Status ReadPacked(const InputFile& file, uint64_t offset, int bits, uint64_t begin, uint64_t end,
                        ChunkFunction f);

class RangeFile final : public ArrayFile {
 public:
  using Metadata = std::map<std::string, std::string>;

  // Every array has been checked to lie within the file. `big_endian`: so are the elements in the file.
  RangeFile(absl::string_view format, std::unique_ptr<InputFile> file, std::vector<FileArray> arrays,
            Metadata metadata = {}, bool big_endian = false)
      : ArrayFile(format, std::move(arrays), std::move(metadata)),
        file_(std::move(file)),
        big_endian_(big_endian) {}

  bool random_access() const override { return true; }

 private:
  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override {
    const FileArray& array = arrays()[index];
    if (const int bits = BitsOf(array.type); bits < 8) {
      return ReadPacked(*file_, array.offset, bits, begin, end, f);
    }
    return ReadElements(*file_, array.offset + begin, array.offset + end, SizeOf(array.type), big_endian_, f);
  }

  std::unique_ptr<InputFile> file_;
  bool big_endian_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_RANGE_FILE_H_
