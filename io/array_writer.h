// Writes a file of arrays piece by piece, so that arrays of any size need little memory.
//
//   ASSIGN_OR_RETURN(const std::unique_ptr<ArrayWriter> writer, ArrayWriter::Create("w.safetensors", arrays));
//   for (const FileArray& array : writer->arrays()) {
//     ... RETURN_IF_ERROR(writer->Append(bytes)); ...
//   }
//   RETURN_IF_ERROR(writer->Commit());
#ifndef HALFTONE_IO_ARRAY_WRITER_H_
#define HALFTONE_IO_ARRAY_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "io/array.h"

namespace halftone {

// The file appears under its name only with Commit; without it the destructor leaves nothing behind.
class ArrayWriter {
 public:
  using Metadata = std::map<std::string, std::string>;

  // Of each array its name, type, shape and order of elements; offset and bytes are not looked at. The same
  // arguments give the same file. Create goes by the path's extension:
  //   .safetensors   every ElementType, in C order; strings beside the arrays (__metadata__)
  //   .npy           exactly one array; the format keeps neither its name nor metadata; version 1.0
  // Errors: InvalidArgument (another extension; no single array for .npy; for .safetensors two arrays of one
  // name, one named "__metadata__", one in Fortran order, one that ends within a byte, text that is not
  // UTF-8, a header above the format's 100 MB; in both an array larger than any memory or of more than
  // kMaxArrayRank dimensions), Unimplemented (an element type that NumPy does not have), and what the file
  // system says.
  static absl::StatusOr<std::unique_ptr<ArrayWriter>> Create(const std::string& path,
                                                             std::vector<FileArray> arrays,
                                                             const Metadata& metadata = {});
  static absl::StatusOr<std::unique_ptr<ArrayWriter>> CreateSafetensors(const std::string& path,
                                                                        std::vector<FileArray> arrays,
                                                                        const Metadata& metadata = {});
  static absl::StatusOr<std::unique_ptr<ArrayWriter>> CreateNpy(const std::string& path, FileArray array);

  // In the order of their bytes, offset and bytes filled in: the bytes in the file, codes of fewer than 8
  // bits being packed (quant/pack.h) there. Safetensors aligns elements by order: arrays of larger elements
  // come first, and otherwise the order is the caller's.
  const std::vector<FileArray>& arrays() const { return arrays_; }

  // The next bytes of arrays()[0], then of arrays()[1], and so on: little-endian elements in the array's
  // order, as they are in the file. A piece may end anywhere.
  absl::Status Append(absl::Span<const char> bytes);

  // Every byte has been appended.
  absl::Status Commit();

  uint64_t file_bytes() const { return file_bytes_; }  // of the whole file, once written

 private:
  ArrayWriter(std::vector<FileArray> arrays, uint64_t file_bytes, std::unique_ptr<AtomicFile> file)
      : arrays_(std::move(arrays)), file_bytes_(file_bytes), file_(std::move(file)) {}

  static absl::StatusOr<std::unique_ptr<ArrayWriter>> Start(const std::string& path, absl::string_view header,
                                                            std::vector<FileArray> arrays);

  std::vector<FileArray> arrays_;
  uint64_t file_bytes_;
  uint64_t written_ = 0;
  std::unique_ptr<AtomicFile> file_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_WRITER_H_
