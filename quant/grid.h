// What the vectors of quant/grid-inl.h need to know to round floats to nearest even onto a format's values.
#ifndef HALFTONE_QUANT_GRID_H_
#define HALFTONE_QUANT_GRID_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "fp16/format.h"
#include "quant/integer_format.h"

namespace halftone::quant_internal {

// Whether a FloatGrid can be had: every format with a sign whose values, and the numbers that round to them,
// are normal floats. That is all of at most 8 bits but float8_e8m0fnu, and float16.
constexpr bool HasFloatGrid(const FloatFormat& format) {
  const int largest_exponent =
      static_cast<int>(format.largest_finite_code() >> format.mantissa_bits) - format.bias;
  return format.has_sign && format.mantissa_bits >= 1 && format.mantissa_bits <= 10 &&
         largest_exponent + 23 - format.mantissa_bits <= 126 &&
         1 - format.bias - format.mantissa_bits >= -126;
}

// The values of a float format. A magnitude and its rounded value lie in one binade, or the latter is the
// next power of two; so (a + magic) - magic, with magic a number in [2^23, 2^24) of the format's spacings in
// a's binade, rounds a to them as the processor rounds: to nearest even. The last bits of a + magic are those
// of magic plus a's distance from 0 in spacings, which together with the exponent is the code; magic's own
// last bits are such that the lowest byte needs no correction. They are even, so that a tie goes where it
// ought to.
struct FloatGrid {
  explicit constexpr FloatGrid(const FloatFormat& format)
      : largest(static_cast<float>(format.largest_finite())),
        zero(format.has_negative_zero() ? -0.0f : 0.0f),
        lowest_exponent((128 - format.bias) << 23),
        to_magic((23 - format.mantissa_bits) << 23 | (-((128 - format.bias) << format.mantissa_bits) & 0xff)),
        dropped_bits(23 - format.mantissa_bits),
        to_sign(32 - format.bits()),
        sign(static_cast<int32_t>(format.sign_mask())),
        zero_sign(format.has_negative_zero() ? sign : 0) {}

  float largest;
  float zero;               // what added to a zero takes its sign away where the format has no -0
  int32_t lowest_exponent;  // that of the smallest normal value, as a float's bits
  int32_t to_magic;         // added to the bits of 2^e makes those of magic
  int dropped_bits;         // of float's mantissa
  int to_sign;              // by how much a float's sign is shifted to be a code's
  int32_t sign;             // the bit of negative codes
  int32_t zero_sign;        // the same of zero
};

// A FloatGrid of a format with -0: its codes are had for less.
struct SignedZeroGrid : FloatGrid {
  explicit constexpr SignedZeroGrid(const FloatFormat& format) : FloatGrid(format) {}
};

// Integers times a power of two, `unit`. 1.5 * 2^23 units is `magic`, for numbers of either sign.
struct IntegerGrid {
  constexpr IntegerGrid(int lowest_code, int highest_code, int zero_point, float unit)
      : lowest(static_cast<float>(lowest_code - zero_point) * unit),
        highest(static_cast<float>(highest_code - zero_point) * unit),
        magic(0x1.8p23f * unit),
        code_offset(std::bit_cast<int32_t>(magic) - zero_point) {}
  constexpr IntegerGrid(const IntegerFormat& format, int zero_point)
      : IntegerGrid(format.lowest(), format.highest(), zero_point, 1.0f) {}

  float lowest, highest;
  float magic;
  int32_t code_offset;  // the bits of magic + value less this are the code
};

// One number; quant/grid-inl.h has vectors. Of NaNs any value.
constexpr float RoundToValue(const FloatGrid& grid, float q) {
  const auto bits = std::bit_cast<int32_t>(q);
  const float without_sign = std::bit_cast<float>(bits & 0x7fffffff);
  const float magnitude = without_sign < grid.largest ? without_sign : grid.largest;
  const int32_t exponent = std::max(std::bit_cast<int32_t>(magnitude) & 0x7f800000, grid.lowest_exponent);
  const float magic = std::bit_cast<float>(exponent + grid.to_magic);
  const float rounded = (magnitude + magic) - magic;
  return std::bit_cast<float>(std::bit_cast<int32_t>(rounded) | (bits - (bits & 0x7fffffff))) + grid.zero;
}

constexpr float RoundToValue(const IntegerGrid& grid, float q) {
  return (std::min(std::max(q, grid.lowest), grid.highest) + grid.magic) - grid.magic;
}

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_GRID_H_
