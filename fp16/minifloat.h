// What half and bfloat16 have in common: the value type, its predicates, std::numeric_limits and std::hash.
// Include fp16/half.h or fp16/bfloat16.h.
#ifndef HALFTONE_FP16_MINIFLOAT_H_
#define HALFTONE_FP16_MINIFLOAT_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <type_traits>

#include "fp16/minifloat_bits.h"

namespace halftone {
namespace minifloat {

// A 16-bit float of the given layout; `Self` is the class derived from it.
template <typename Self, Layout kFormat>
class Float16 {
 public:
  static constexpr Layout kLayout = kFormat;
  static_assert(kLayout.bits() == 16);

  // Uninitialised, as for float; Self{} is zero.
  Float16() = default;

  // To nearest even, rounded once from either type; beyond the largest finite value by half a unit or more,
  // infinity. A NaN stays a NaN of its sign and becomes quiet. There is no implicit narrowing.
  constexpr explicit Float16(float value)
      : bits_(static_cast<uint16_t>(Narrow<kBinary32, kLayout>(std::bit_cast<uint32_t>(value)))) {}
  constexpr explicit Float16(double value)
      : bits_(static_cast<uint16_t>(Narrow<kBinary64, kLayout>(std::bit_cast<uint64_t>(value)))) {}
  // Integers that a double holds exactly.
  template <std::integral T>
  requires(sizeof(T) <= 4) constexpr explicit Float16(T value) : Float16(static_cast<double>(value)) {}

  static constexpr Self FromBits(uint16_t bits) {
    Self result{};
    result.bits_ = bits;
    return result;
  }
  constexpr uint16_t bits() const { return bits_; }

  // Exact. Comparison and arithmetic are float's by way of this conversion: NaN is unordered, -0 == +0, and
  // a + b is a float, to be rounded back explicitly.
  constexpr operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(Widen<kLayout, kBinary32>(bits_)));
  }

  // Flips the sign bit, of a zero and of a NaN too.
  friend constexpr Self operator-(Self x) {
    return FromBits(x.bits() ^ static_cast<uint16_t>(kLayout.sign_mask()));
  }

  friend std::ostream& operator<<(std::ostream& os, Self x) { return os << static_cast<float>(x); }

 private:
  uint16_t bits_;
};

template <typename T>
concept IsFloat16 = std::derived_from<T, Float16<T, T::kLayout>>;

template <IsFloat16 T>
constexpr uint64_t Magnitude(T x) {
  return x.bits() & (T::kLayout.sign_mask() - 1);
}

template <IsFloat16 T>
struct Limits {
 private:
  static constexpr Layout kLayout = T::kLayout;
  static constexpr T Code(uint64_t bits) { return T::FromBits(static_cast<uint16_t>(bits)); }
  // floor(n log10(2)) for n >= 0.
  static constexpr int Decimals(int n) { return static_cast<int>(n * 30103L / 100000); }

 public:
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = true;
  static constexpr bool has_quiet_NaN = true;
  static constexpr bool has_signaling_NaN = true;
  static constexpr std::float_denorm_style has_denorm = std::denorm_present;
  static constexpr bool has_denorm_loss = false;
  static constexpr std::float_round_style round_style = std::round_to_nearest;
  static constexpr bool is_iec559 = true;  // an IEEE 754 encoding and its rules, if not an interchange format
  static constexpr bool is_bounded = true;
  static constexpr bool is_modulo = false;
  static constexpr bool traps = false;
  static constexpr bool tinyness_before = false;
  static constexpr int radix = 2;
  static constexpr int digits = kLayout.mantissa_bits + 1;
  static constexpr int digits10 = Decimals(kLayout.mantissa_bits);
  static constexpr int max_digits10 = Decimals(digits) + 2;
  static constexpr int min_exponent = 2 - kLayout.bias();
  static constexpr int max_exponent = kLayout.bias() + 1;
  static constexpr int min_exponent10 = -Decimals(kLayout.bias() - 1);
  static constexpr int max_exponent10 = Decimals(max_exponent);

  static constexpr T min() noexcept { return Code(kLayout.mantissa_mask() + 1); }  // smallest normal
  static constexpr T max() noexcept { return Code(kLayout.infinity() - 1); }
  static constexpr T lowest() noexcept { return -max(); }
  static constexpr T denorm_min() noexcept { return Code(1); }
  static constexpr T infinity() noexcept { return Code(kLayout.infinity()); }
  static constexpr T quiet_NaN() noexcept { return Code(kLayout.infinity() | kLayout.quiet_bit()); }
  static constexpr T signaling_NaN() noexcept { return Code(kLayout.infinity() | kLayout.quiet_bit() >> 1); }
  // 2^-mantissa_bits, the distance from 1 to the next value.
  static constexpr T epsilon() noexcept {
    return Code(static_cast<uint64_t>(kLayout.bias() - kLayout.mantissa_bits) << kLayout.mantissa_bits);
  }
  static constexpr T round_error() noexcept { return T(0.5f); }
};

// Equal values hash alike, so +0 and -0 do.
template <IsFloat16 T>
struct Hash {
  constexpr size_t operator()(T x) const noexcept { return Magnitude(x) == 0 ? 0 : x.bits(); }
};

}  // namespace minifloat

template <minifloat::IsFloat16 T>
constexpr bool IsNan(T x) {
  return Magnitude(x) > T::kLayout.infinity();
}

template <minifloat::IsFloat16 T>
constexpr bool IsInf(T x) {
  return Magnitude(x) == T::kLayout.infinity();
}

template <minifloat::IsFloat16 T>
constexpr bool IsFinite(T x) {
  return Magnitude(x) < T::kLayout.infinity();
}

// Not zero, and smaller than the smallest normal value.
template <minifloat::IsFloat16 T>
constexpr bool IsSubnormal(T x) {
  return Magnitude(x) != 0 && Magnitude(x) <= T::kLayout.mantissa_mask();
}

// Of a zero and of a NaN too.
template <minifloat::IsFloat16 T>
constexpr bool SignBit(T x) {
  return (x.bits() & T::kLayout.sign_mask()) != 0;
}

}  // namespace halftone

#endif  // HALFTONE_FP16_MINIFLOAT_H_
