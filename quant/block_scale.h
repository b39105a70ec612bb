// The scale of one block (quant/block_format.h); quant/block_kernels.h has vectors.
#ifndef HALFTONE_QUANT_BLOCK_SCALE_H_
#define HALFTONE_QUANT_BLOCK_SCALE_H_

#include <algorithm>
#include <bit>
#include <cstdint>

namespace halftone::quant_internal {

inline constexpr int32_t kInfinityBits = 0x7f800000;

// How E8M0 scales follow from amax: 2^(E - largest_exponent), where E is the floor or ceil of
// log2((amax + add) / divide); what is added is added to the bits.
struct E8m0Rule {
  int32_t add = 0;
  float divide = 1;
  bool up = false;
  int largest_exponent = 0;
};

// What elements are multiplied by before they are rounded, and what their values are multiplied by.
struct BlockScaleFactors {
  float factor, scale;
};

// amax: the bits of the largest magnitude, which is finite.
constexpr BlockScaleFactors E8m0FactorsOf(const E8m0Rule& rule, int32_t amax) {
  constexpr int32_t kLast = 254;
  int32_t exponent = std::bit_cast<int32_t>(std::bit_cast<float>(amax + rule.add) / rule.divide);
  if (rule.up) exponent = exponent > 0x400000 ? exponent + 0x7fffff : 0;  // 2^-127, and what is below it
  const int32_t code = std::clamp((exponent >> 23) - rule.largest_exponent, 0, kLast);
  // The first is where float's exponents end: 2^-127 is subnormal.
  const auto power = [](int32_t c) { return std::bit_cast<float>(c == 0 ? 0x400000 : c << 23); };
  return {power(kLast - code), power(code)};
}

// The same; tensor_scale: g.
constexpr BlockScaleFactors E4m3FactorsOf(float tensor_scale, int32_t amax) {
  constexpr int kDropped = 23 - 3;
  const float wanted = std::bit_cast<float>(amax) / 6.0f / tensor_scale;
  // Positive and normal: rounding it is rounding an integer.
  const auto bits = std::bit_cast<int32_t>(std::clamp(wanted, 0x1p-6f, 448.0f));
  const int32_t odd = (bits >> kDropped) & 1, below_half = (1 << (kDropped - 1)) - 1;
  const float rounded = std::bit_cast<float>(((bits + below_half + odd) >> kDropped) << kDropped);
  return {1.0f / tensor_scale / rounded, rounded * tensor_scale};
}

// NVFP4's g, and what it is from the largest magnitude of the tensor.
inline constexpr float kLeastTensorScale = 0x1p-120f, kMostTensorScale = 0x1p118f;
constexpr float TensorScaleOf(float amax) {
  constexpr float kLeast = kLeastTensorScale, kMost = kMostTensorScale;  // a GPU has no reference to a global
  return amax == 0 ? 1 : std::clamp(amax / (448.0f * 6.0f), kLeast, kMost);
}

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_BLOCK_SCALE_H_
