// A file of arrays, whatever its format: what it holds, and its elements piece by piece, so that a file of
// any size needs little memory. OpenArrayFile (io/open_array_file.h) makes one.
#ifndef HALFTONE_IO_ARRAY_FILE_H_
#define HALFTONE_IO_ARRAY_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "io/array.h"

namespace halftone {

// The most bytes that a chunk has; a multiple of every element's size.
inline constexpr size_t kMaxChunkBytes = 256 << 10;  // stays in a core's own cache

// Takes a chunk: whole elements, little endian, for ConvertElements. The span is valid during the call alone.
// An error ends the reading and is handed on.
using ChunkFunction = absl::FunctionRef<absl::Status(absl::Span<const char> bytes)>;

// Opening has checked all that the file says about itself. Keeps the file open. Thread safe where
// random_access(); else one call at a time.
class ArrayFile {
 public:
  virtual ~ArrayFile() = default;
  ArrayFile(const ArrayFile&) = delete;
  ArrayFile& operator=(const ArrayFile&) = delete;

  absl::string_view format() const { return format_; }  // "safetensors", "npy", ...
  // No two of one name. Formats that hold one array without a name give it the file's own, without its folder
  // and extension.
  const std::vector<FileArray>& arrays() const { return arrays_; }
  // The strings beside the arrays: safetensors' __metadata__, empty elsewhere.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Calls f with arrays()[index]'s elements in the file's order: arrays()[index].bytes in all, in no call
  // when that is 0. Errors: f's own; DataLoss (damage that shows only now); what the file system says.
  absl::Status ReadChunks(size_t index, ChunkFunction f) const {
    return ReadRange(index, 0, arrays_[index].bytes, f);
  }
  // The bytes [begin, end) of the array alone, both at elements' boundaries; a part of an array only where
  // random_access().
  absl::Status ReadRange(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const {
    HALFTONE_CHECK(random_access() || (begin == 0 && end == arrays_[index].bytes));
    return Read(index, begin, end, f);
  }

  // Whether any part of an array can be read by itself: not of what is compressed or text.
  virtual bool random_access() const { return false; }

 protected:
  ArrayFile(absl::string_view format, std::vector<FileArray> arrays,
            std::map<std::string, std::string> metadata = {})
      : format_(format), arrays_(std::move(arrays)), metadata_(std::move(metadata)) {}

 private:
  // ReadRange's part that differs; every chunk but the last has kMaxChunkBytes where random_access().
  virtual absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const = 0;

  std::string format_;
  std::vector<FileArray> arrays_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_FILE_H_
