#include "io/range_file.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/element_type.h"

namespace halftone {

absl::Status RangeFile::Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const {
  const FileArray& array = arrays()[index];
  std::vector<char> buffer(std::min<uint64_t>(end - begin, kMaxChunkBytes));
  for (uint64_t at = begin; at < end; at += buffer.size()) {
    const absl::Span<char> chunk(buffer.data(), std::min<uint64_t>(buffer.size(), end - at));
    RETURN_IF_ERROR(file_->ReadAt(array.offset + at, chunk));
    if (big_endian_) SwapElements(SizeOf(array.type), chunk);
    RETURN_IF_ERROR(f(chunk));
  }
  return absl::OkStatus();
}

}  // namespace halftone
