#include "io/range_file.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/status_macros.h"

namespace halftone {

namespace {

// Enough that mapping costs little beside reading, little enough that what is resident stays small.
constexpr uint64_t kWindowBytes = 16 * kMaxChunkBytes;

absl::Status ReadMapped(const InputFile& file, uint64_t begin, uint64_t end, ChunkFunction f) {
  for (uint64_t at = begin; at < end; at += kWindowBytes) {
    ASSIGN_OR_RETURN(const MappedBytes window, file.Map(at, std::min(kWindowBytes, end - at)));
    absl::Span<const char> rest = window.bytes();
    while (!rest.empty()) {
      const absl::Span<const char> chunk = rest.first(std::min(rest.size(), kMaxChunkBytes));
      RETURN_IF_ERROR(f(chunk));
      rest.remove_prefix(chunk.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadElements(const InputFile& file, uint64_t begin, uint64_t end, size_t size, bool big_endian,
                          ChunkFunction f) {
  if (file.prefers_map() && begin % size == 0 && !big_endian) return ReadMapped(file, begin, end, f);
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
