#include "io/range_file.h"

#include <algorithm>

#include "absl/types/span.h"
#include "base/status_macros.h"
#include "quant/pack.h"

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

absl::Status ReadPacked(const InputFile& file, uint64_t offset, int bits, uint64_t begin, uint64_t end,
                        ChunkFunction f) {
  constexpr uint64_t kGroup = 8;  // codes that end with a byte
  std::vector<char> packed, codes;
  while (begin < end) {
    const uint64_t n = std::min<uint64_t>(end - begin, kMaxChunkBytes);
    const uint64_t before = begin % kGroup, first = begin - before;
    codes.resize(before + n);
    packed.resize(PackedBytes(bits, codes.size()));
    RETURN_IF_ERROR(file.ReadAt(offset + PackedBytes(bits, first), absl::MakeSpan(packed)));
    UnpackBits(bits, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(packed.data()), packed.size()),
               absl::MakeSpan(reinterpret_cast<uint8_t*>(codes.data()), codes.size()));
    RETURN_IF_ERROR(f(absl::MakeConstSpan(codes).subspan(before)));
    begin += n;
  }
  return absl::OkStatus();
}

}  // namespace halftone
