// Binary floating-point formats as data, and the conversion of numbers to and from any of them.
//
// A format is one row: the widths of its fields, its bias and which codes are no numbers. From the top a code
// has a sign bit (if any), the biased exponent and the mantissa without its leading one; exponent 0 holds
// zero and the subnormals. The largest magnitudes of codes may be infinity and NaNs. A format without
// mantissa holds powers of two alone, for scales: no zero, no subnormals and no sign.
//
//   Decode(kFloat16, 0x3c00)                                                          // 1.0
//   Encode(kFloat16, 0.1, Rounding::kNearestEven, Overflow::kInfinity)                // 0x2e66
//   Encode(kFloat16, 0.1, Rounding::kStochastic, Overflow::kSaturate, rng.Bits(i))    // 0x2e66 or 0x2e67
//
// Everything is constexpr and works on integers alone: the results depend on no rounding mode, no
// flush-to-zero switch and no instruction set. One number at a time and of any format; fp16/convert.h is the
// fast way for arrays.
//
// Sources: IEEE 754-2019, "754" below; Open Compute Project, OCP 8-bit Floating Point Specification (OFP8),
// revision 1.0, 2023, "OFP8" below, and OCP Microscaling Formats (MX) Specification, version 1.0, 2023,
// "MX"; the names are those of the Python package ml_dtypes.
#ifndef HALFTONE_FP16_FORMAT_H_
#define HALFTONE_FP16_FORMAT_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "fp16/minifloat_bits.h"

namespace halftone {

// Which codes are NaNs.
enum class NanCodes {
  kIeee,          // the highest exponent with a mantissa other than 0; there the mantissa 0 is infinity
  kAllOnes,       // all bits but the sign are ones: OFP8's E4M3, S.1111.111; MX's E8M0
  kNegativeZero,  // the sign bit alone, so that zero has no sign: the *fnuz types of ml_dtypes
  kNone,
};

struct FloatFormat {
  std::string_view name;  // as in ml_dtypes
  int exponent_bits;      // 1 to 8
  int mantissa_bits;      // 0 to 23, without the leading one; 0: powers of two from 2^-bias on, no zero
  int bias;               // 754's is 2^(exponent_bits - 1) - 1; of any format, within 0 to 255
  bool has_sign;
  bool has_infinity;  // its code follows that of the largest finite value
  NanCodes nan_codes;

  constexpr int bits() const { return has_sign + exponent_bits + mantissa_bits; }
  constexpr uint32_t sign_mask() const { return has_sign ? 1u << (exponent_bits + mantissa_bits) : 0; }
  constexpr uint32_t mantissa_mask() const { return (1u << mantissa_bits) - 1; }
  // All bits but the sign.
  constexpr uint32_t magnitude_mask() const { return (1u << (exponent_bits + mantissa_bits)) - 1; }
  constexpr bool has_nan() const { return nan_codes != NanCodes::kNone; }
  constexpr bool has_zero() const { return mantissa_bits > 0; }
  constexpr bool has_negative_zero() const { return has_sign && nan_codes != NanCodes::kNegativeZero; }
  // The exponent field of the smallest normal values.
  constexpr int lowest_exponent_field() const { return has_zero() ? 1 : 0; }

  // Codes. infinity_code() and nan_code() only where there are such codes; nan_code() is positive if it can
  // be, and quiet (754, 6.2.1).
  constexpr uint32_t largest_finite_code() const {
    if (nan_codes == NanCodes::kIeee) return magnitude_mask() - mantissa_mask() - 1;
    return magnitude_mask() - (nan_codes == NanCodes::kAllOnes) - has_infinity;
  }
  constexpr uint32_t infinity_code() const { return largest_finite_code() + 1; }
  constexpr uint32_t nan_code() const {
    if (nan_codes == NanCodes::kNegativeZero) return sign_mask();
    if (nan_codes == NanCodes::kAllOnes) return magnitude_mask();
    return infinity_code() | 1u << (mantissa_bits - 1);
  }

  constexpr double largest_finite() const;
  constexpr double smallest_normal() const;     // 2^(1 - bias); without zero 2^-bias
  constexpr double smallest_subnormal() const;  // 2^(1 - bias - mantissa_bits); only with has_zero()
  constexpr double epsilon() const;             // 2^-mantissa_bits, from 1 to the next value
  // log10(2^(mantissa_bits + 1)): how many decimal digits the significand is worth.
  constexpr double decimal_digits() const { return (mantissa_bits + 1) * 0.30102999566398120; }

  // Whether the fields fit together; every row of a table must be valid. The rest of this file relies on it.
  constexpr bool valid() const {
    if (exponent_bits < 1 || exponent_bits > 8 || mantissa_bits < 0 || mantissa_bits > 23) return false;
    if (bias < 0 || bias > 255) return false;
    if (!has_zero() && (has_sign || nan_codes != NanCodes::kAllOnes)) return false;
    if (nan_codes == NanCodes::kIeee && !has_infinity) return false;
    return nan_codes != NanCodes::kNegativeZero || has_sign;
  }
};

// 754's binary16: half (fp16/half.h).
inline constexpr FloatFormat kFloat16 = {.name = "float16",
                                         .exponent_bits = 5,
                                         .mantissa_bits = 10,
                                         .bias = 15,
                                         .has_sign = true,
                                         .has_infinity = true,
                                         .nan_codes = NanCodes::kIeee};

// The upper half of 754's binary32: bfloat16 (fp16/bfloat16.h).
inline constexpr FloatFormat kBfloat16 = {.name = "bfloat16",
                                          .exponent_bits = 8,
                                          .mantissa_bits = 7,
                                          .bias = 127,
                                          .has_sign = true,
                                          .has_infinity = true,
                                          .nan_codes = NanCodes::kIeee};

static_assert(kFloat16.valid() && kBfloat16.valid());

// How a value between two neighbours of a format becomes one of them. A value that the format has is never
// changed, in any mode.
enum class Rounding {
  // Of two equally near the one with the even code: roundTiesToEven (4.3.1); OFP8 requires it. In a format
  // without zero as PyTorch and ml_dtypes do, for MX says nothing of it: of two equally near the larger, for
  // no significand is even there; and next to 2^-bias as if that were 0, all between it and 2^(1 - bias)
  // becomes the latter.
  kNearestEven,
  kNearestAway,  // of two equally near the larger magnitude: roundTiesToAway (4.3.1)
  kTowardZero,   // roundTowardZero (4.3.2)
  kUp,           // toward +infinity: roundTowardPositive (4.3.2)
  kDown,         // toward -infinity: roundTowardNegative (4.3.2)
  // The one with the odd code. What is rounded to odd with two more bits of mantissa and then to nearest is
  // rounded as if once. Not in 754: Boldo, Melquiond, "Emulation of FMA and correctly rounded sums: proved
  // algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008.
  kToOdd,
  // Away from zero where random_bits / 2^32 < the discarded fraction (the distance to the neighbour nearer to
  // zero, in units of the distance between the two; compared exactly). For random_bits uniform in [0, 2^32)
  // the mean of the result is the value itself where the fraction is a multiple of 2^-32, as it is for every
  // normal result from a float; else its magnitude is too large by less than 2^-32 of the distance.
  kStochastic,
};

// What becomes of values beyond the format's largest finite one. As in 754, 7.4, that is asked after rounding
// as if exponents had no upper limit: float16 to nearest even overflows from 65520, the middle between 65504
// and 65536, on; float8_e4m3fn above 464, the middle between 448 and 480 (448's code is even).
//
// kInfinity and kNan leave a finite value at the largest finite one where the rounding is toward zero on its
// side: kTowardZero; kUp below, kDown above zero (754, 7.4). kToOdd does so too on either side, as Berkeley
// SoftFloat does, in formats whose largest code is even as well. An infinity is no overflow and is not
// rounded: it becomes what the enumerators say, in every rounding mode.
enum class Overflow {
  // The largest finite value of the same sign, for infinities too: OFP8's saturating mode.
  kSaturate,
  // Infinity, or NaN where the format has none: OFP8's non-saturating mode. With neither as kSaturate.
  kInfinity,
  // NaN, for infinities too. Where the format has none as kSaturate.
  kNan,
};

// The value of a code, exact: an infinity or a quiet NaN too. A NaN's sign is the code's; one of kIeee keeps
// its payload. `code` < 2^bits.
constexpr double Decode(const FloatFormat& format, uint32_t code);

// The code of a value, rounded once; from a float and a double of equal value the same.
//
// Zeros: a zero, and a negative value that is rounded to zero, keep their sign where the format has -0, else
// they become 0 (754, 6.3). In a format without zero they become NaN, and positive values below its smallest
// one, 2^-bias, become that in every mode.
//
// NaNs become quiet NaNs of the same sign, as far as the format has one. In formats with 754's codes
// (float16, bfloat16, float8_e5m2) they keep the top bits of their payload (754, 6.2.3; as x86 does); the
// NaNs of Overflow::kNan have none. In a format without NaNs they become the positive largest finite value,
// as in NVIDIA's PTX (cvt to e2m1, e2m3 and e3m2); OFP8 says nothing of such formats.
//
// In a format without sign what is less than zero becomes NaN (0 where there is none), and -0 becomes what 0
// does.
//
// random_bits: used by Rounding::kStochastic alone, which may not do without.
constexpr uint32_t Encode(const FloatFormat& format, float value, Rounding rounding, Overflow overflow,
                          uint32_t random_bits);
constexpr uint32_t Encode(const FloatFormat& format, double value, Rounding rounding, Overflow overflow,
                          uint32_t random_bits);
constexpr uint32_t Encode(const FloatFormat& format, float value, Rounding rounding, Overflow overflow);
constexpr uint32_t Encode(const FloatFormat& format, double value, Rounding rounding, Overflow overflow);

constexpr bool IsNan(const FloatFormat& format, uint32_t code) {
  const uint32_t magnitude = code & format.magnitude_mask();
  switch (format.nan_codes) {
    case NanCodes::kIeee:
      return magnitude > format.infinity_code();
    case NanCodes::kAllOnes:
      return magnitude == format.magnitude_mask();
    case NanCodes::kNegativeZero:
      return code == format.sign_mask();
    case NanCodes::kNone:
      break;
  }
  return false;
}

constexpr bool IsInf(const FloatFormat& format, uint32_t code) {
  return format.has_infinity && (code & format.magnitude_mask()) == format.infinity_code();
}

constexpr bool IsFinite(const FloatFormat& format, uint32_t code) {
  return !IsNan(format, code) && !IsInf(format, code);
}

// Below: how it is done.

namespace format_internal {

inline constexpr minifloat::Layout kDouble = minifloat::kBinary64;

// significand * 2^exponent; significand in [1, 2^53), the value within double's normal range.
constexpr double MakeDouble(uint64_t significand, int exponent) {
  const int leading = static_cast<int>(std::bit_width(significand)) - 1;
  const uint64_t mantissa = (significand << (kDouble.mantissa_bits - leading)) & kDouble.mantissa_mask();
  const int biased = leading + exponent + kDouble.bias();
  return std::bit_cast<double>(static_cast<uint64_t>(biased) << kDouble.mantissa_bits | mantissa);
}

// Whether to go on from significand >> shift, toward zero, to the neighbour beyond. `rest`: the bits shifted
// out, less than 2^53; shift >= 1.
constexpr bool RoundsAway(Rounding rounding, bool negative, bool odd, uint64_t rest, int shift,
                          uint32_t random_bits) {
  if (rest == 0) return false;
  const uint64_t half_unit = uint64_t{1} << (std::min(shift, 64) - 1);
  switch (rounding) {
    case Rounding::kNearestEven:
      return rest > half_unit || (rest == half_unit && odd);
    case Rounding::kNearestAway:
      return rest >= half_unit;
    case Rounding::kTowardZero:
      return false;
    case Rounding::kUp:
      return !negative;
    case Rounding::kDown:
      return negative;
    case Rounding::kToOdd:
      return !odd;
    case Rounding::kStochastic:
      break;
  }
  // An integer is less than rest / 2^shift * 2^32 exactly where it is less than that rounded up.
  const int drop = std::min(shift - 32, 63);
  return random_bits < (drop <= 0 ? rest << -drop : (rest + (uint64_t{1} << drop) - 1) >> drop);
}

constexpr uint32_t EncodeNan(const FloatFormat& format, bool negative, uint64_t payload) {
  if (!format.has_nan()) return format.largest_finite_code();
  const uint32_t kept = format.nan_codes == NanCodes::kIeee
                            ? static_cast<uint32_t>(payload >> (kDouble.mantissa_bits - format.mantissa_bits))
                            : 0;
  return format.nan_code() | kept | (negative ? format.sign_mask() : 0);
}

// Of infinities and of what is beyond the largest finite value.
constexpr uint32_t EncodeOverflow(const FloatFormat& format, bool negative, Overflow overflow) {
  const uint32_t sign = negative ? format.sign_mask() : 0;
  if (overflow == Overflow::kInfinity && format.has_infinity) return sign | format.infinity_code();
  if (overflow != Overflow::kSaturate && format.has_nan()) return EncodeNan(format, negative, 0);
  return sign | format.largest_finite_code();
}

// Where finite values never go beyond the largest finite one, whatever the Overflow.
constexpr bool OverflowsTowardZero(Rounding rounding, bool negative) {
  return rounding == Rounding::kTowardZero || rounding == Rounding::kToOdd ||
         rounding == (negative ? Rounding::kUp : Rounding::kDown);
}

// Of a double's code.
constexpr uint32_t EncodeBinary64(const FloatFormat& format, uint64_t code, Rounding rounding,
                                  Overflow overflow, uint32_t random_bits) {
  const bool negative = (code & kDouble.sign_mask()) != 0;
  const uint64_t magnitude = code & (kDouble.sign_mask() - 1);
  if (magnitude > kDouble.infinity()) return EncodeNan(format, negative, magnitude & kDouble.mantissa_mask());
  if (negative && magnitude != 0 && !format.has_sign) return format.has_nan() ? format.nan_code() : 0;
  if (magnitude == kDouble.infinity()) return EncodeOverflow(format, negative, overflow);
  if (!format.has_zero()) {
    if (magnitude == 0) return format.nan_code();
    if (magnitude <= static_cast<uint64_t>(kDouble.bias() - format.bias) << kDouble.mantissa_bits) return 0;
  }

  const int exponent = static_cast<int>(magnitude >> kDouble.mantissa_bits);
  const uint64_t leading = exponent == 0 ? 0 : uint64_t{1} << kDouble.mantissa_bits;
  const uint64_t significand = (magnitude & kDouble.mantissa_mask()) | leading;
  // The format's biased exponent, without an upper limit; below `lowest` the result is subnormal and drops
  // more bits.
  const int to_exponent = std::max(exponent, 1) - kDouble.bias() + format.bias;
  const int lowest = rounding == Rounding::kNearestEven ? 1 : format.lowest_exponent_field();
  const int shift = kDouble.mantissa_bits - format.mantissa_bits + std::max(lowest - to_exponent, 0);
  const uint64_t quotient = shift < 64 ? significand >> shift : 0;
  const uint64_t rest = shift < 64 ? significand - (quotient << shift) : significand;
  // The leading one, and the carry of rounding up, add themselves to the exponent.
  const int before = std::max(to_exponent, lowest) - 1;  // -1 in the lowest binade of a format without zero
  const uint64_t toward_zero = (static_cast<uint64_t>(before) << format.mantissa_bits) + quotient;
  // Without mantissa the code's last bit is not the significand's.
  const bool odd = (rounding == Rounding::kNearestEven ? quotient : toward_zero) % 2 == 1;
  const uint64_t rounded = toward_zero + RoundsAway(rounding, negative, odd, rest, shift, random_bits);

  if (rounded > format.largest_finite_code()) {
    return EncodeOverflow(format, negative,
                          OverflowsTowardZero(rounding, negative) ? Overflow::kSaturate : overflow);
  }
  const bool keeps_sign = negative && (rounded != 0 || format.has_negative_zero());
  return static_cast<uint32_t>(rounded) | (keeps_sign ? format.sign_mask() : 0);
}

}  // namespace format_internal

constexpr double Decode(const FloatFormat& format, uint32_t code) {
  const bool negative = (code & format.sign_mask()) != 0;
  const uint32_t magnitude = code & format.magnitude_mask();
  constexpr minifloat::Layout kTo = format_internal::kDouble;
  uint64_t result = 0;
  if (IsNan(format, code)) {
    const uint32_t payload = format.nan_codes == NanCodes::kIeee ? magnitude & format.mantissa_mask() : 0;
    result =
        kTo.infinity() | kTo.quiet_bit() | uint64_t{payload} << (kTo.mantissa_bits - format.mantissa_bits);
  } else if (IsInf(format, code)) {
    result = kTo.infinity();
  } else if (magnitude != 0 || !format.has_zero()) {
    const int exponent = static_cast<int>(magnitude >> format.mantissa_bits);
    const int lowest = format.lowest_exponent_field();
    const uint32_t leading = exponent < lowest ? 0 : 1u << format.mantissa_bits;
    result = std::bit_cast<uint64_t>(
        format_internal::MakeDouble((magnitude & format.mantissa_mask()) | leading,
                                    std::max(exponent, lowest) - format.bias - format.mantissa_bits));
  }
  return std::bit_cast<double>(result | (negative ? kTo.sign_mask() : 0));
}

constexpr uint32_t Encode(const FloatFormat& format, float value, Rounding rounding, Overflow overflow,
                          uint32_t random_bits) {
  const uint64_t code =
      minifloat::Widen<minifloat::kBinary32, minifloat::kBinary64>(std::bit_cast<uint32_t>(value));
  return format_internal::EncodeBinary64(format, code, rounding, overflow, random_bits);
}

constexpr uint32_t Encode(const FloatFormat& format, double value, Rounding rounding, Overflow overflow,
                          uint32_t random_bits) {
  const uint64_t code = std::bit_cast<uint64_t>(value);
  return format_internal::EncodeBinary64(format, code, rounding, overflow, random_bits);
}

constexpr uint32_t Encode(const FloatFormat& format, float value, Rounding rounding, Overflow overflow) {
  HALFTONE_CHECK(rounding != Rounding::kStochastic);
  return Encode(format, value, rounding, overflow, 0);
}

constexpr uint32_t Encode(const FloatFormat& format, double value, Rounding rounding, Overflow overflow) {
  HALFTONE_CHECK(rounding != Rounding::kStochastic);
  return Encode(format, value, rounding, overflow, 0);
}

constexpr double FloatFormat::largest_finite() const { return Decode(*this, largest_finite_code()); }
constexpr double FloatFormat::smallest_normal() const {
  return Decode(*this, has_zero() ? mantissa_mask() + 1 : 0);
}
constexpr double FloatFormat::smallest_subnormal() const {
  HALFTONE_CHECK(has_zero());
  return Decode(*this, 1);
}
constexpr double FloatFormat::epsilon() const { return format_internal::MakeDouble(1, -mantissa_bits); }

}  // namespace halftone

#endif  // HALFTONE_FP16_FORMAT_H_
