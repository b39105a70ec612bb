#include "quant/block_scales.h"

#include <algorithm>
#include <bit>

namespace halftone::quant_internal {
namespace {

constexpr uint8_t kE8m0Nan = 0xff, kE4m3Nan = 0x7f;

// 2^(code - 127), NaN of the last code. The first and the last but one are where float's exponents end: 2^-127 is
// subnormal.
float PowerOf(uint32_t code) {
  if (code == kE8m0Nan) return std::bit_cast<float>(0x7fc00000u);
  return std::bit_cast<float>(code == 0 ? 0x400000u : code << 23);
}

// floor(log2) and ceil(log2) of the float of these bits, + 127; 0 where that is less.
uint32_t FloorExponent(uint32_t bits) { return bits >> 23; }
uint32_t CeilExponent(uint32_t bits) { return bits <= 0x400000 ? 0 : (bits + 0x7fffff) >> 23; }

template <class ExponentOf>
void MakeE8m0(size_t blocks, int largest_exponent, BlockScales* s, ExponentOf exponent_of) {
  for (size_t b = 0; b < blocks; ++b) {
    const int exponent = static_cast<int>(exponent_of(s->amax[b])) - largest_exponent;
    const uint32_t number = static_cast<uint32_t>(std::clamp(exponent, 0, 254));
    const uint32_t code = s->amax[b] > kInfinityBits ? kE8m0Nan : number;
    s->codes[b] = static_cast<uint8_t>(code);
    s->factors[b] = PowerOf(254 - number);
    s->scales[b] = PowerOf(code);
  }
}

void MakeE4m3(size_t blocks, float tensor_scale, BlockScales* s) {
  constexpr int kMantissa = kFloat8E4m3fn.mantissa_bits, kDropped = 23 - kMantissa;
  const float inverse = 1 / tensor_scale;
  for (size_t b = 0; b < blocks; ++b) {
    const float wanted = std::bit_cast<float>(s->amax[b]) / 6 / tensor_scale;
    const float scale = std::min(std::max(wanted, 0x1p-6f), 448.0f);
    // Positive and normal: rounding it is rounding an integer.
    const uint32_t bits = std::bit_cast<uint32_t>(scale);
    const uint32_t upper = (bits + (1u << (kDropped - 1)) - 1 + (bits >> kDropped & 1)) >> kDropped;
    const float rounded = std::bit_cast<float>(upper << kDropped);
    const bool nan = s->amax[b] > kInfinityBits;
    s->codes[b] = nan ? kE4m3Nan : static_cast<uint8_t>(upper - ((127 - kFloat8E4m3fn.bias) << kMantissa));
    s->factors[b] = inverse / rounded;
    s->scales[b] = nan ? std::bit_cast<float>(0x7fc00000u) : rounded * tensor_scale;
  }
}

}  // namespace

void MakeScales(const BlockFormat& format, BlockScaleRule rule, float tensor_scale, size_t blocks,
                BlockScales* s) {
  if (format.scale == BlockScale::kE4m3) return MakeE4m3(blocks, tensor_scale, s);
  switch (rule) {
    case BlockScaleRule::kFloor:
      return MakeE8m0(blocks, format.largest_exponent(), s, FloorExponent);
    case BlockScaleRule::kCeil:
      return MakeE8m0(blocks, format.largest_exponent(), s, CeilExponent);
    case BlockScaleRule::kEven: {
      const uint32_t half_unit = 1u << (22 - format.mantissa_bits());
      return MakeE8m0(blocks, format.largest_exponent(), s,
                      [half_unit](uint32_t amax) { return FloorExponent(amax + half_unit); });
    }
    case BlockScaleRule::kRceil: {
      const auto largest = static_cast<float>(format.largest_element());
      return MakeE8m0(blocks, 0, s, [largest](uint32_t amax) {
        return CeilExponent(std::bit_cast<uint32_t>(std::bit_cast<float>(amax) / largest));
      });
    }
  }
}

void ScalesOfCodes(const BlockFormat& format, absl::Span<const uint8_t> codes, float tensor_scale,
                   float* scales) {
  if (format.scale == BlockScale::kE8m0) {
    for (size_t b = 0; b < codes.size(); ++b) scales[b] = PowerOf(codes[b]);
    return;
  }
  DecodeAll(kFloat8E4m3fn, codes, absl::MakeSpan(scales, codes.size()));
  for (size_t b = 0; b < codes.size(); ++b) scales[b] *= tensor_scale;
}

}  // namespace halftone::quant_internal
