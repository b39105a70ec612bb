#include "io/array.h"

#include <algorithm>

#include "quant/pack.h"

namespace halftone {

absl::optional<uint64_t> ArrayBytes(DType dtype, absl::Span<const int64_t> dims) {
  return ArrayBytes(ElementTypeOf(dtype), dims);
}

absl::optional<uint64_t> ArrayBytes(ElementType type, absl::Span<const int64_t> dims) {
  int64_t bytes = static_cast<int64_t>(SizeOf(type));
  bool empty = false;
  for (const int64_t d : dims) {
    empty |= d == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(d, 1), &bytes)) return absl::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

absl::optional<uint64_t> FileBytes(ElementType type, absl::Span<const int64_t> dims) {
  const absl::optional<uint64_t> bytes = ArrayBytes(type, dims);
  const int bits = BitsOf(type);
  if (!bytes.has_value() || bits >= 8) return bytes;
  constexpr uint64_t kMostCodes = uint64_t{1} << 59;
  if (*bytes > kMostCodes) return absl::nullopt;
  return PackedBytes(bits, *bytes);
}

}  // namespace halftone
