// Codes of 1 to 8 bits without gaps between them, and back to one code a byte.
//
// Bits are counted from the least significant one of the first byte; code i takes bits
// [i * bits, (i + 1) * bits), its own least significant one first. So of two 4-bit codes in a byte the first
// is the lower half, as in ONNX ("Float stored in 4 bits"; int4 too), PyTorch (float4_e2m1fn_x2) and
// torchao; codes of 3, 5, 6 and 7 bits reach across bytes. Bits of the last byte that belong to no code are
// 0.
//
//   std::vector<uint8_t> packed(PackedBytes(4, codes.size()));
//   PackBits(4, codes, absl::MakeSpan(packed));
//   UnpackBits(4, packed, absl::MakeSpan(codes));
#ifndef HALFTONE_QUANT_PACK_H_
#define HALFTONE_QUANT_PACK_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace halftone {

// What `codes` codes of `bits` bits take. Of `codes` < 2^60.
constexpr size_t PackedBytes(int bits, size_t codes) { return (codes * static_cast<size_t>(bits) + 7) / 8; }

// Both run on several threads. `bits` is 1 to 8, packed.size() is PackedBytes(bits, codes.size()); the spans
// do not overlap.

// Only the `bits` least significant bits of a code count, so that integers in two's complement may be given.
void PackBits(int bits, absl::Span<const uint8_t> codes, absl::Span<uint8_t> packed);

// The codes' upper bits are 0. What the last byte holds beyond the codes is not looked at.
void UnpackBits(int bits, absl::Span<const uint8_t> packed, absl::Span<uint8_t> codes);

}  // namespace halftone

#endif  // HALFTONE_QUANT_PACK_H_
