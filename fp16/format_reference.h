// The slow, obvious twin of fp16/format.h: the value of a code by its definition, the code of a value by
// search in the table of all values. And rows that the library does not offer, for the codec must work for
// any valid one.
#ifndef HALFTONE_FP16_FORMAT_REFERENCE_H_
#define HALFTONE_FP16_FORMAT_REFERENCE_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ios>
#include <limits>
#include <vector>

#include "fp16/format.h"
#include "gtest/gtest.h"

namespace halftone::reference {

// An unsigned format, one with infinities and one NaN, and powers of two of another width and bias than MX's.
inline constexpr std::array kOtherFormats = {
    FloatFormat{"unsigned", 4, 4, 7, false, false, NanCodes::kAllOnes},
    FloatFormat{"infinities and one NaN", 4, 3, 8, true, true, NanCodes::kNegativeZero},
    FloatFormat{"powers of two", 5, 0, 15, false, false, NanCodes::kAllOnes},
    FloatFormat{"powers of two and infinity", 4, 0, 1, false, true, NanCodes::kAllOnes},
};

inline constexpr std::array kRoundings = {
    Rounding::kNearestEven, Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
    Rounding::kDown,        Rounding::kToOdd,       Rounding::kStochastic};
inline constexpr std::array kOverflows = {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan};

class FormatCodec {
 public:
  explicit FormatCodec(const FloatFormat& format) : format_(format) {
    const uint32_t top = 1u << (format.exponent_bits + format.mantissa_bits);  // past all magnitudes
    uint32_t reserved = 0;
    if (format.nan_codes == NanCodes::kIeee) reserved = 1u << format.mantissa_bits;
    if (format.nan_codes == NanCodes::kAllOnes) reserved = 1;
    if (format.nan_codes != NanCodes::kIeee && format.has_infinity) ++reserved;
    // One more than there are: what would follow the largest finite value.
    for (uint32_t code = 0; code <= top - reserved; ++code) {
      const int exponent = static_cast<int>(code >> format.mantissa_bits);
      const double mantissa = code % (1u << format.mantissa_bits);
      const double scale = std::ldexp(1.0, -format.mantissa_bits);
      const bool subnormal = exponent == 0 && format.mantissa_bits > 0;
      magnitudes_.push_back(subnormal ? std::ldexp(mantissa * scale, 1 - format.bias)
                                      : std::ldexp(1.0 + mantissa * scale, exponent - format.bias));
    }
    largest_ = top - reserved - 1;
    sign_ = format.has_sign ? top : 0;
    infinity_ = largest_ + 1;
    switch (format.nan_codes) {
      case NanCodes::kIeee:
        nan_ = infinity_ + (1u << format.mantissa_bits) / 2;
        break;
      case NanCodes::kAllOnes:
        nan_ = top - 1;
        break;
      case NanCodes::kNegativeZero:
        nan_ = top;
        break;
      case NanCodes::kNone:
        nan_ = largest_;
        break;
    }
  }

  // By code, finite ones of no sign; then the value that would follow the largest.
  const std::vector<double>& magnitudes() const { return magnitudes_; }

  double Decode(uint32_t code) const {
    const bool negative = sign_ != 0 && code >= sign_;
    const uint32_t magnitude = negative ? code - sign_ : code;
    if (format_.nan_codes == NanCodes::kNegativeZero && code == nan_) return Nan();
    if (magnitude <= largest_) return negative ? -magnitudes_[magnitude] : magnitudes_[magnitude];
    if (format_.has_infinity && magnitude == infinity_) return negative ? -Infinity() : Infinity();
    return Nan();
  }

  // x is not NaN.
  uint32_t Encode(double x, Rounding rounding, Overflow overflow, uint32_t random_bits) const {
    const bool negative = std::signbit(x);
    if (x < 0 && sign_ == 0) return format_.nan_codes == NanCodes::kNone ? 0 : nan_;
    if (std::isinf(x)) return Beyond(negative, overflow);
    const double magnitude = std::fabs(x);
    const bool powers = format_.mantissa_bits == 0;
    if (powers && x == 0) return nan_;
    if (magnitude < magnitudes_[0]) return 0;

    uint32_t low = 0;  // the code of the largest value up to the magnitude, or that of the largest finite one
    if (magnitude >= magnitudes_[largest_]) {
      low = largest_;
    } else {
      low = static_cast<uint32_t>(std::upper_bound(magnitudes_.begin(), magnitudes_.end(), magnitude) -
                                  magnitudes_.begin() - 1);
    }
    if (magnitude == magnitudes_[low]) return WithSign(negative, low);

    // Differences of neighbours, and of a value between them and either, are exact in double; so is the
    // fraction, for it is a quotient by a power of two. It is 1 and more beyond the successor of the largest.
    const double fraction = (magnitude - magnitudes_[low]) / (magnitudes_[low + 1] - magnitudes_[low]);
    bool up = false;
    switch (rounding) {
      case Rounding::kNearestEven:
        up = powers ? fraction >= 0.5 || low == 0 : fraction > 0.5 || (fraction == 0.5 && low % 2 == 1);
        break;
      case Rounding::kNearestAway:
        up = fraction >= 0.5;
        break;
      case Rounding::kTowardZero:
        break;
      case Rounding::kUp:
        up = !negative;
        break;
      case Rounding::kDown:
        up = negative;
        break;
      case Rounding::kToOdd:
        up = low % 2 == 0 && low != largest_;
        break;
      case Rounding::kStochastic:
        up = random_bits < fraction * 0x1p32;
        break;
    }
    if (up && low == largest_) return Beyond(negative, overflow);
    return WithSign(negative, low + up);
  }

 private:
  static double Infinity() { return std::numeric_limits<double>::infinity(); }
  static double Nan() { return std::numeric_limits<double>::quiet_NaN(); }

  uint32_t WithSign(bool negative, uint32_t magnitude) const {
    if (!negative || sign_ == 0) return magnitude;
    if (magnitude == 0 && format_.nan_codes == NanCodes::kNegativeZero) return 0;
    return magnitude + sign_;
  }

  uint32_t Beyond(bool negative, Overflow overflow) const {
    const bool has_nan = format_.nan_codes != NanCodes::kNone;
    if (overflow == Overflow::kInfinity && format_.has_infinity) return WithSign(negative, infinity_);
    if (overflow == Overflow::kSaturate || !has_nan) return WithSign(negative, largest_);
    return format_.nan_codes == NanCodes::kNegativeZero ? nan_ : WithSign(negative, nan_);
  }

  FloatFormat format_;
  std::vector<double> magnitudes_;
  uint32_t largest_, sign_, infinity_, nan_;
};

// What lies around a value and its successor: both, the middle and other fractions, and the next doubles to
// them.
inline std::vector<double> Between(double value, double successor) {
  std::vector<double> result;
  for (const double fraction : {0.0, 0x1p-40, 0.25, 0.5, 0.8125}) {
    const double x = value + (successor - value) * fraction;
    result.insert(result.end(), {std::nextafter(x, -1.0), x, std::nextafter(x, 2 * successor)});
  }
  return result;
}

// Every code decodes as the twin says; around every code each rounding and overflow mode encodes as the twin
// does.
inline void ExpectSameAsTwin(const FloatFormat& format) {
  SCOPED_TRACE(format.name);
  const FormatCodec twin(format);
  for (uint32_t code = 0; code < 1u << format.bits(); ++code) {
    const double value = Decode(format, code), expected = twin.Decode(code);
    ASSERT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected))) << code << ": " << value;
    ASSERT_EQ(std::signbit(value), (code & format.sign_mask()) != 0) << code;
    ASSERT_EQ(IsNan(format, code), std::isnan(expected)) << code;
    ASSERT_EQ(IsInf(format, code), std::isinf(expected)) << code;
    ASSERT_EQ(IsFinite(format, code), std::isfinite(expected)) << code;
  }

  const auto expect_same = [&](double x, Rounding rounding, Overflow overflow, uint32_t random_bits) {
    const uint32_t code = Encode(format, x, rounding, overflow, random_bits);
    const uint32_t expected = twin.Encode(x, rounding, overflow, random_bits);
    // Not by EXPECT_EQ: there are millions.
    if (code == expected) return true;
    ADD_FAILURE() << std::hexfloat << x << " rounding " << static_cast<int>(rounding) << " overflow "
                  << static_cast<int>(overflow) << " random " << random_bits << ": " << code << ", expected "
                  << expected;
    return false;
  };
  const auto expect_all_modes = [&](double magnitude, bool overflows) {
    for (const double x : {magnitude, -magnitude}) {
      for (const Rounding rounding : kRoundings) {
        for (const Overflow overflow : kOverflows) {
          const bool stochastic = rounding == Rounding::kStochastic;
          for (const uint32_t random_bits :
               {0u, 0x3fffffffu, 0x40000000u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
            if (!expect_same(x, rounding, overflow, random_bits)) return false;
            if (!stochastic) break;
          }
          if (!overflows) break;
        }
      }
    }
    return true;
  };

  const std::vector<double>& values = twin.magnitudes();
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    const bool overflows = i + 2 >= values.size();
    for (const double x : Between(values[i], values[i + 1])) ASSERT_TRUE(expect_all_modes(x, overflows));
  }
  const double beyond = values.back();
  for (const double x : {std::nextafter(beyond, 0), beyond, 1.5 * beyond, 2 * beyond, 3 * beyond, 1e300,
                         std::numeric_limits<double>::max(), std::numeric_limits<double>::infinity()}) {
    ASSERT_TRUE(expect_all_modes(x, true));
  }
  for (const double x :
       {0.0, 5e-324, 1e-310, std::numeric_limits<double>::min(), values[1] * 0x1p-31, values[1] * 0x1p-32,
        values[1] * 0x1p-33, values[1] * 0x1p-63, values[1] * 0x1p-100}) {
    ASSERT_TRUE(expect_all_modes(x, true));
  }
}

}  // namespace halftone::reference

#endif  // HALFTONE_FP16_FORMAT_REFERENCE_H_
