// A file of arrays, whatever its format: what it holds, and its elements piece by piece, so that a file of
// any size needs little memory. OpenArrayFile (io/open_array_file.h) makes one.
#ifndef HALFTONE_IO_ARRAY_FILE_H_
#define HALFTONE_IO_ARRAY_FILE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/array.h"

namespace halftone {

// The most bytes that a chunk has.
inline constexpr size_t kMaxChunkBytes = 1 << 20;

// Takes a chunk: whole elements, little endian, for ConvertElements. The span is valid during the call alone.
// An error ends the reading and is handed on.
using ChunkFunction = absl::FunctionRef<absl::Status(absl::Span<const char> bytes)>;

// Opening has checked all that the file says about itself. One call at a time: not thread safe. Keeps the
// file open.
class ArrayFile {
 public:
  virtual ~ArrayFile() = default;
  ArrayFile(const ArrayFile&) = delete;
  ArrayFile& operator=(const ArrayFile&) = delete;

  absl::string_view format() const { return format_; }  // "safetensors", "npy", ...
  // No two of one name. Formats that hold one array without a name give it the file's own, without its folder
  // and extension.
  const std::vector<FileArray>& arrays() const { return arrays_; }

  // Calls f with arrays()[index]'s elements in the file's order: arrays()[index].bytes in all, in no call
  // when that is 0. Errors: f's own; DataLoss (damage that shows only now); what the file system says.
  virtual absl::Status ReadChunks(size_t index, ChunkFunction f) const = 0;

 protected:
  ArrayFile(absl::string_view format, std::vector<FileArray> arrays)
      : format_(format), arrays_(std::move(arrays)) {}

 private:
  std::string format_;
  std::vector<FileArray> arrays_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_FILE_H_
