// Block formats: some consecutive numbers, the elements, share a scale. MX has a power of two for 32
// elements, NVFP4 a float8_e4m3fn for 16 and a float32 for the whole tensor. A new one is a row in
// kBlockFormats.
//
// The blocks run along rows of row_size elements. Where a row is no multiple of the block its last block is
// shorter: its missing elements count as zeros and have no codes. Hardware wants such rows padded with zeros
// to whole blocks: the scales are the same.
//
// The scale of an MX block is 2^e, as E8M0 codes e + 127; x * 2^-e is exact and rounded once to the element's
// format, saturating. A block of zeros has e = -127. NVFP4, in float32 arithmetic, as torchao (and its
// kernels for GPUs) do:
//
//   tensor scale g = amax(x) / (448 * 6)
//   block scale  s = float8_e4m3fn(clamp((amax(block) / 6) / g, 2^-6, 448))
//   element      float4_e2m1fn(x * ((1 / g) / s)), saturating
//   value        element * (s * g)
//
// Infinities and NaNs. FakeQuantizeBlocks leaves them as they are and takes scales from finite elements
// alone. QuantizeBlocks has to write them down as codes; MX leaves open how (section 6.3):
// - A block with a NaN has the scale NaN, so all its elements are NaN. The codes are those of zeros of the
//   elements' signs, and what Encode makes of a NaN where the element is not finite.
// - Else an infinity counts as 2^128 for the scale and becomes the largest element, as in torchao; from that
//   DequantizeBlocks makes an infinity again, but of mxint8 a number near float's largest. NVFP4's g does not
//   count it: it becomes the tensor's amax.
//
// All is the same on every instruction set and for any number of threads.
//
// Sources: Open Compute Project, OCP Microscaling Formats (MX) Specification, version 1.0, 2023; NVIDIA,
// "Pretraining Large Language Models with NVFP4", 2025; torchao (prototype/mx_formats) for the rules and the
// order of arithmetic.
#ifndef HALFTONE_QUANT_BLOCK_FORMAT_H_
#define HALFTONE_QUANT_BLOCK_FORMAT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "fp16/codec.h"
#include "fp16/format.h"
#include "quant/block_scale.h"
#include "quant/formats.h"

namespace halftone {

enum class BlockScale {
  kE8m0,  // a power of two
  kE4m3,  // float8_e4m3fn, times a float32 for the tensor
};

struct BlockFormat {
  std::string_view name;
  std::optional<FloatFormat> element;  // none: int8 in two's complement, of value code / 64
  int block;                           // elements with one scale: 16 or 32
  BlockScale scale;

  constexpr int element_bits() const { return element ? element->bits() : 8; }
  // Of storage, without what is one for the tensor: 4.25 of mxfp4, 4.5 of nvfp4.
  constexpr double bits_per_element() const { return element_bits() + 8.0 / block; }
  constexpr double largest_element() const { return element ? element->largest_finite() : 127.0 / 64; }
  constexpr int mantissa_bits() const { return element ? element->mantissa_bits : 6; }
  // floor(log2(largest_element())): MX's emax.
  constexpr int largest_exponent() const {
    if (!element) return 0;
    return static_cast<int>(element->largest_finite_code() >> element->mantissa_bits) - element->bias;
  }
  constexpr size_t BlocksPerRow(size_t row_size) const {
    const auto size = static_cast<size_t>(block);
    return (row_size + size - 1) / size;
  }
  constexpr bool valid() const {
    return (block == 16 || block == 32) && (!element || (element->valid() && element->bits() <= 8)) &&
           (scale == BlockScale::kE8m0 || (element && element->name == kFloat4E2m1fn.name));
  }
};

inline constexpr std::array kBlockFormats = {
    BlockFormat{"mxfp8", kFloat8E4m3fn, 32, BlockScale::kE8m0},
    BlockFormat{"mxfp8_e5m2", kFloat8E5m2, 32, BlockScale::kE8m0},
    BlockFormat{"mxfp6", kFloat6E2m3fn, 32, BlockScale::kE8m0},
    BlockFormat{"mxfp6_e3m2", kFloat6E3m2fn, 32, BlockScale::kE8m0},
    BlockFormat{"mxfp4", kFloat4E2m1fn, 32, BlockScale::kE8m0},
    BlockFormat{"mxint8", std::nullopt, 32, BlockScale::kE8m0},
    BlockFormat{"nvfp4", kFloat4E2m1fn, 16, BlockScale::kE4m3},
};

static_assert(std::ranges::all_of(kBlockFormats, &BlockFormat::valid));

// The format of a name: that of a row, "mxfp8_e4m3" (mxfp8) or "mxfp6_e2m3" (mxfp6).
// InvalidArgument: another name; the message lists the known ones.
absl::StatusOr<BlockFormat> FindBlockFormat(absl::string_view name);

// How e of an MX block's scale follows from amax, its largest magnitude; E is the format's
// largest_exponent(). e is clamped to [-127, 127].
enum class BlockScaleRule {
  kFloor,  // floor(log2(amax)) - E (section 6.3): elements up to the next power of two may saturate
  kCeil,   // ceil(log2(amax)) - E: none does
  kEven,   // floor(log2(amax rounded to the element's mantissa bits, ties away from zero)) - E
  kRceil,  // ceil(log2(amax / largest element)), the quotient rounded to float: the least without saturation
};

struct BlockOptions {
  BlockScaleRule rule = BlockScaleRule::kFloor;  // of MX formats
  Rounding rounding = Rounding::kNearestEven;    // of elements; block scales are rounded as said above
  // NVFP4's g: in [2^-120, 2^118] (CHECKed). 0: from the elements, clamped to that; 1 where all are 0.
  float tensor_scale = 0;
};

// CHECKed of all: x.size() is a multiple of row_size > 0, spans of elements are of one length, scales has
// BlocksPerRow(row_size) for each row. Rounding::kStochastic: element i of x uses the i-th of the random
// bits.

// The elements' values times their scales. A finite number stays one: a product beyond float's range becomes
// the largest float. y and x do not overlap.
void FakeQuantizeBlocks(const BlockFormat& format, absl::Span<const float> x, size_t row_size,
                        const BlockOptions& options, absl::Span<float> y, const RandomBits& random = {});

// The elements' codes, one a byte (integers in two's complement); the blocks' scales as E8M0 or E4M3 codes;
// *tensor_scale: g, 1 of MX formats.
void QuantizeBlocks(const BlockFormat& format, absl::Span<const float> x, size_t row_size,
                    const BlockOptions& options, absl::Span<uint8_t> codes, absl::Span<uint8_t> scales,
                    float* tensor_scale, const RandomBits& random = {});

// The numbers of codes: element * scale, rounded to float; an infinity beyond its range.
void DequantizeBlocks(const BlockFormat& format, absl::Span<const uint8_t> codes,
                      absl::Span<const uint8_t> scales, float tensor_scale, size_t row_size,
                      absl::Span<float> y);

namespace quant_internal {

constexpr E8m0Rule E8m0RuleOf(const BlockFormat& format, BlockScaleRule rule) {
  switch (rule) {
    case BlockScaleRule::kFloor:
      return {.largest_exponent = format.largest_exponent()};
    case BlockScaleRule::kCeil:
      return {.up = true, .largest_exponent = format.largest_exponent()};
    case BlockScaleRule::kEven:
      return {.add = 1 << (22 - format.mantissa_bits()), .largest_exponent = format.largest_exponent()};
    case BlockScaleRule::kRceil:
      return {.divide = static_cast<float>(format.largest_element()), .up = true};
  }
  return {};
}

}  // namespace quant_internal

}  // namespace halftone

#endif  // HALFTONE_QUANT_BLOCK_FORMAT_H_
