// What the bulk codec's vectors need to know of a format and of how to round to it. All are 32-bit numbers,
// one value a call; codes without a sign unless said otherwise.
#ifndef HALFTONE_FP16_CODEC_PARAMETERS_H_
#define HALFTONE_FP16_CODEC_PARAMETERS_H_

#include <cstdint>

#include "fp16/format.h"

namespace halftone {

// Whether EncodeParameters and DecodeParameters can be had. Beyond these bounds float's subnormals would be
// normal in the format, or the format's values none of float's normal ones. Nor of formats without zero: such
// are scales, one for many elements.
constexpr bool EncodesInLanes(const FloatFormat& format) { return format.has_zero() && format.bias <= 127; }
constexpr bool DecodesInLanes(const FloatFormat& format) {
  if (!format.has_zero()) return false;
  const int largest_exponent = static_cast<int>(format.largest_finite_code() >> format.mantissa_bits);
  return largest_exponent - format.bias <= 127 &&
         (format.bias == 127 || format.bias + format.mantissa_bits <= 127);
}

struct EncodeParameters {
  constexpr EncodeParameters(const FloatFormat& format, Rounding rounding, Overflow overflow)
      : rounding(rounding),
        mantissa_bits(format.mantissa_bits),
        dropped_bits(23 - format.mantissa_bits),
        exponent_offset(static_cast<uint32_t>(128 - format.bias)),
        sign(format.sign_mask()),
        zero_sign(format.has_negative_zero() ? format.sign_mask() : 0),
        lost_sign(format.has_sign ? 0 : 0x7fffffff),
        less_than_zero(format.has_nan() ? format.nan_code() : 0),
        largest(format.largest_finite_code()),
        beyond_positive(Beyond(format, rounding, overflow, false)),
        beyond_negative(Beyond(format, rounding, overflow, true)),
        infinity(format_internal::EncodeOverflow(format, false, overflow)),
        nan(format_internal::EncodeNan(format, false, 0)),
        nan_payload(format.nan_codes == NanCodes::kIeee ? format.mantissa_mask() : 0),
        nan_sign(format.has_nan() ? format.sign_mask() : 0) {}

  Rounding rounding;
  int mantissa_bits;
  int dropped_bits;                           // of float's mantissa, where the result is normal
  uint32_t exponent_offset;                   // float's biased exponent less the format's, plus one
  uint32_t sign;                              // the bit of negative codes
  uint32_t zero_sign;                         // the same of zero
  uint32_t lost_sign;                         // in a format without sign ones for a float's magnitude, else 0
  uint32_t less_than_zero;                    // there what is less than zero becomes
  uint32_t largest;                           // finite code
  uint32_t beyond_positive, beyond_negative;  // what is rounded beyond it becomes
  uint32_t infinity;                          // infinities become
  uint32_t nan;                               // NaNs become, without payload
  uint32_t nan_payload;                       // the mask of what they keep of it
  uint32_t nan_sign;                          // the bit of negative ones

 private:
  static constexpr uint32_t Beyond(const FloatFormat& format, Rounding rounding, Overflow overflow,
                                   bool negative) {
    const bool toward_zero = format_internal::OverflowsTowardZero(rounding, negative);
    return format_internal::EncodeOverflow(format, false, toward_zero ? Overflow::kSaturate : overflow);
  }
};

struct DecodeParameters {
  constexpr explicit DecodeParameters(const FloatFormat& format)
      : added_bits(23 - format.mantissa_bits),
        exponent_offset(static_cast<uint32_t>(127 - format.bias) << 23),
        subnormal_offset(static_cast<uint32_t>(format.bias + format.mantissa_bits - 1) << 23),
        smallest_normal(format.bias == 127 ? 0 : format.mantissa_mask() + 1),
        magnitude_mask(format.magnitude_mask()),
        sign(format.sign_mask()),
        infinity(format.has_infinity ? format.infinity_code() : kNever),
        largest_number(format.nan_codes == NanCodes::kIeee      ? format.infinity_code()
                       : format.nan_codes == NanCodes::kAllOnes ? format.magnitude_mask() - 1
                                                                : format.magnitude_mask()),
        nan_code(format.nan_codes == NanCodes::kNegativeZero ? format.nan_code() : kNever),
        nan_payload(
            format.nan_codes == NanCodes::kIeee ? format.mantissa_mask() << (23 - format.mantissa_bits) : 0) {
  }

  int added_bits;             // to the mantissa
  uint32_t exponent_offset;   // float's bias less the format's, as a float's exponent field
  uint32_t subnormal_offset;  // log2(1 / the smallest subnormal), as a float's exponent field
  uint32_t smallest_normal;   // 0 where the format's exponents are float's: subnormals need no care then
  uint32_t magnitude_mask;
  uint32_t sign;            // the bit of negative codes
  uint32_t infinity;        // its code
  uint32_t largest_number;  // codes above are NaNs,
  uint32_t nan_code;        // and so is this one, sign included
  uint32_t nan_payload;     // the mask of what a NaN keeps, in a float

 private:
  static constexpr uint32_t kNever = 0x80000000;  // no code
};

}  // namespace halftone

#endif  // HALFTONE_FP16_CODEC_PARAMETERS_H_
