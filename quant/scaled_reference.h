// The slow, obvious twin of quant/scaled.h: one number at a time. For tests, and for GPUs where they have
// nothing faster.
#ifndef HALFTONE_QUANT_SCALED_REFERENCE_H_
#define HALFTONE_QUANT_SCALED_REFERENCE_H_

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "fp16/format.h"
#include "quant/integer_format.h"

namespace halftone::reference {

// x rounded to an integer, as Rounding says.
constexpr double RoundToInteger(double x, Rounding rounding, uint32_t random_bits) {
  const double below = std::trunc(x), fraction = std::fabs(x - below);
  const double beyond = below + (std::signbit(x) ? -1 : 1);
  const bool odd = std::fmod(below, 2) != 0;
  switch (rounding) {
    case Rounding::kNearestEven:
      return fraction > 0.5 || (fraction == 0.5 && odd) ? beyond : below;
    case Rounding::kNearestAway:
      return fraction >= 0.5 ? beyond : below;
    case Rounding::kTowardZero:
      return below;
    case Rounding::kUp:
      return std::ceil(x);
    case Rounding::kDown:
      return std::floor(x);
    case Rounding::kToOdd:
      return fraction > 0 && !odd ? beyond : below;
    case Rounding::kStochastic:
      break;
  }
  return random_bits < fraction * 0x1p32 ? beyond : below;
}

// value * scale of x, which became value.
constexpr float Product(float x, float value, float scale) {
  if (!std::isfinite(x)) return x;
  return std::isnan(value) ? value : std::clamp(value * scale, -FLT_MAX, FLT_MAX);
}

struct Quantized {
  float y;
  uint8_t code;
};

// Of a format of at most 8 bits; of more, y alone.
constexpr Quantized QuantizeOne(const FloatFormat& format, float x, float scale, Rounding rounding,
                                uint32_t random_bits) {
  const float q = std::isnan(x) ? x : x / scale;
  const uint32_t code = Encode(format, q, rounding, Overflow::kSaturate, random_bits);
  return {Product(x, static_cast<float>(Decode(format, code)), scale), static_cast<uint8_t>(code)};
}

constexpr Quantized QuantizeOne(const IntegerFormat& format, float x, float scale, int zero_point,
                                Rounding rounding, uint32_t random_bits) {
  if (std::isnan(x)) return {x, static_cast<uint8_t>(zero_point)};
  const double q = std::clamp<double>(x / scale, format.lowest() - zero_point, format.highest() - zero_point);
  const int value = static_cast<int>(RoundToInteger(q, rounding, random_bits));
  return {Product(x, static_cast<float>(value), scale), static_cast<uint8_t>(value + zero_point)};
}

struct Gradients {
  float dx;
  double dscale;
};

// value: what x / scale is rounded to.
constexpr Gradients BackwardOne(float x, float scale, float value, float lowest, float highest, float dy) {
  const float q = x / scale;
  if (std::isnan(q)) return {0, 0};
  if (q < lowest) return {0, static_cast<double>(dy) * lowest};
  if (q > highest) return {0, static_cast<double>(dy) * highest};
  return {dy, static_cast<double>(dy) * (value - q)};
}

}  // namespace halftone::reference

#endif  // HALFTONE_QUANT_SCALED_REFERENCE_H_
