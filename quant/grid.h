// What the vectors of quant/grid-inl.h need to know to round floats to nearest even onto a format's values.
#ifndef HALFTONE_QUANT_GRID_H_
#define HALFTONE_QUANT_GRID_H_

#include <bit>
#include <cstdint>

#include "fp16/format.h"
#include "quant/integer_format.h"

namespace halftone::quant_internal {

// Whether a FloatGrid can be had: every format with a sign whose values, and the numbers that round to them, are
// normal floats. That is all of at most 8 bits but float8_e8m0fnu, and float16.
constexpr bool HasFloatGrid(const FloatFormat& format) {
  const int largest_exponent =
      static_cast<int>(format.largest_finite_code() >> format.mantissa_bits) - format.bias;
  return format.has_sign && format.mantissa_bits >= 1 && format.mantissa_bits <= 10 &&
         largest_exponent + 23 - format.mantissa_bits <= 126 && 1 - format.bias - format.mantissa_bits >= -126;
}

// The values of a float format. A magnitude and its rounded value lie in one binade, or the latter is the next
// power of two; so (a + magic) - magic, with magic the power of two whose last place is the spacing of the
// format's values in a's binade, rounds a to them as the processor rounds: to nearest even. And the last bits of
// a + magic are the code's.
struct FloatGrid {
  explicit constexpr FloatGrid(const FloatFormat& format)
      : largest(static_cast<float>(format.largest_finite())),
        zero(format.has_negative_zero() ? -0.0f : 0.0f),
        lowest_exponent((128 - format.bias) << 23),
        to_magic((23 - format.mantissa_bits) << 23),
        dropped_bits(23 - format.mantissa_bits),
        negative_above(format.has_negative_zero()
                           ? 0x7fffffff
                           : 0x80000000u | std::bit_cast<uint32_t>(static_cast<float>(format.smallest_subnormal() / 2))),
        positive_offset(-to_magic - (lowest_exponent >> dropped_bits)),
        negative_offset(positive_offset + static_cast<int32_t>(format.sign_mask())) {}

  float largest;
  float zero;               // what added to a zero takes its sign away where the format has no -0
  int32_t lowest_exponent;  // that of the smallest normal value, as a float's bits
  int32_t to_magic;         // added to the bits of 2^e makes those of magic
  int dropped_bits;         // of float's mantissa
  // Of codes: bits of floats above this have a sign there; and what is added to the sum of the bits of a + magic, less
  // its exponent's, and the exponent as the format's.
  uint32_t negative_above;
  int32_t positive_offset, negative_offset;
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

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_GRID_H_
