// The bits of small binary floats: widening and narrowing between layouts, on integers alone, so the results
// depend on no rounding mode, no flush-to-zero switch and no instruction set. Everything is constexpr.
//
// Source: IEEE 754-2019, sections 3.4 (encodings), 4.3.1 (roundTiesToEven), 6.2 (NaNs) and 7.4 (overflow).
#ifndef HALFTONE_FP16_MINIFLOAT_BITS_H_
#define HALFTONE_FP16_MINIFLOAT_BITS_H_

#include <algorithm>
#include <bit>
#include <cstdint>

namespace halftone::minifloat {

// A binary float encoded as IEEE 754's interchange formats are: from the top one sign bit, a biased exponent,
// a mantissa without its leading one. Exponent 0 holds zero and the subnormals, the highest exponent infinity
// (mantissa 0) and the NaNs (quiet where the top mantissa bit is set).
struct Layout {
  int exponent_bits;
  int mantissa_bits;

  constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr uint64_t sign_mask() const { return uint64_t{1} << (exponent_bits + mantissa_bits); }
  constexpr uint64_t mantissa_mask() const { return (uint64_t{1} << mantissa_bits) - 1; }
  constexpr uint64_t infinity() const { return sign_mask() - 1 - mantissa_mask(); }
  constexpr uint64_t quiet_bit() const { return uint64_t{1} << (mantissa_bits - 1); }
};

inline constexpr Layout kBinary16 = {.exponent_bits = 5, .mantissa_bits = 10};
inline constexpr Layout kBfloat16 = {.exponent_bits = 8, .mantissa_bits = 7};
inline constexpr Layout kBinary32 = {.exponent_bits = 8, .mantissa_bits = 23};
inline constexpr Layout kBinary64 = {.exponent_bits = 11, .mantissa_bits = 52};

// significand / 2^shift to the nearest integer, ties to even; shift in [1, 63].
constexpr uint64_t ShiftRightNearestEven(uint64_t significand, int shift) {
  const uint64_t quotient = significand >> shift;
  const uint64_t half_unit = uint64_t{1} << (shift - 1);
  const uint64_t rest = significand & (2 * half_unit - 1);
  return quotient + (rest > half_unit || (rest == half_unit && (quotient & 1)));
}

// The code of the nearest `kTo`, ties to even; beyond its largest finite value by half a unit or more,
// infinity. A NaN keeps its sign and the top bits of its payload and becomes quiet, as in x86's VCVTPS2PH.
template <Layout kFrom, Layout kTo>
constexpr uint64_t Narrow(uint64_t code) {
  static_assert(kTo.exponent_bits <= kFrom.exponent_bits && kTo.mantissa_bits < kFrom.mantissa_bits);
  constexpr int kDropped = kFrom.mantissa_bits - kTo.mantissa_bits;
  const uint64_t magnitude = code & (kFrom.sign_mask() - 1);
  const uint64_t sign = code & kFrom.sign_mask() ? kTo.sign_mask() : 0;
  if (magnitude > kFrom.infinity()) {
    const uint64_t payload = (magnitude >> kDropped) & kTo.mantissa_mask();
    return sign | kTo.infinity() | kTo.quiet_bit() | payload;
  }

  const int exponent = static_cast<int>(magnitude >> kFrom.mantissa_bits);
  const uint64_t leading = exponent == 0 ? 0 : uint64_t{1} << kFrom.mantissa_bits;
  const uint64_t significand = (magnitude & kFrom.mantissa_mask()) | leading;
  // The target's biased exponent; below 1 the result is subnormal there and drops more bits.
  const int to_exponent = std::max(exponent, 1) - kFrom.bias() + kTo.bias();
  // From kFrom.mantissa_bits + 2 on everything rounds to zero.
  const int shift = std::min(kDropped + std::max(1 - to_exponent, 0), kFrom.mantissa_bits + 2);
  // The leading one, and the carry of rounding up, add themselves to the exponent.
  const uint64_t exponent_field = static_cast<uint64_t>(std::max(to_exponent, 1) - 1) << kTo.mantissa_bits;
  return sign | std::min(exponent_field + ShiftRightNearestEven(significand, shift), kTo.infinity());
}

// The code of the same value in `kTo`. Between layouts of one exponent width a code is moved as it is; else a
// signalling NaN becomes quiet, as in x86's VCVTPH2PS.
template <Layout kFrom, Layout kTo>
constexpr uint64_t Widen(uint64_t code) {
  static_assert(kTo.exponent_bits >= kFrom.exponent_bits && kTo.mantissa_bits >= kFrom.mantissa_bits);
  constexpr int kAdded = kTo.mantissa_bits - kFrom.mantissa_bits;
  if constexpr (kTo.exponent_bits == kFrom.exponent_bits) {
    return code << kAdded;
  } else {
    const uint64_t magnitude = code & (kFrom.sign_mask() - 1);
    const uint64_t sign = code & kFrom.sign_mask() ? kTo.sign_mask() : 0;
    if (magnitude == 0) return sign;
    if (magnitude >= kFrom.infinity()) {
      const uint64_t quiet = magnitude > kFrom.infinity() ? kTo.quiet_bit() : 0;
      return sign | kTo.infinity() | quiet | (magnitude & kFrom.mantissa_mask()) << kAdded;
    }
    // A subnormal is shifted until its leading one stands where a normal number's would.
    const int width = static_cast<int>(std::bit_width(magnitude));
    const int subnormal_shift = std::max(kFrom.mantissa_bits + 1 - width, 0);
    const bool subnormal = magnitude <= kFrom.mantissa_mask();
    const int exponent = subnormal ? 1 - subnormal_shift : static_cast<int>(magnitude >> kFrom.mantissa_bits);
    const uint64_t mantissa = (subnormal ? magnitude << subnormal_shift : magnitude) & kFrom.mantissa_mask();
    return sign | static_cast<uint64_t>(exponent - kFrom.bias() + kTo.bias()) << kTo.mantissa_bits |
           mantissa << kAdded;
  }
}

}  // namespace halftone::minifloat

#endif  // HALFTONE_FP16_MINIFLOAT_BITS_H_
