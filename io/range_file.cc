#include "io/range_file.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/status_macros.h"

namespace halftone {

absl::Status ReadElements(const InputFile& file, uint64_t begin, uint64_t end, size_t size, bool big_endian,
                          ChunkFunction f) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(std::min<uint64_t>(end - begin, kMaxChunkBytes));
  for (uint64_t at = begin; at < end; at += kMaxChunkBytes) {
    const absl::Span<char> chunk(buffer.get(), std::min<uint64_t>(kMaxChunkBytes, end - at));
    RETURN_IF_ERROR(file.ReadAt(at, chunk));
    if (big_endian) SwapElements(size, chunk);
    RETURN_IF_ERROR(f(chunk));
  }
  return absl::OkStatus();
}

}  // namespace halftone
