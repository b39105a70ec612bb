#include "fp16/format.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/philox.h"
#include "fp16/bfloat16.h"
#include "fp16/format_reference.h"
#include "fp16/half.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using reference::kOtherFormats;
using reference::kOverflows;
using reference::kRoundings;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// 754's binary32 and the machine's own float.
constexpr FloatFormat kFloat32 = {"float32", 8, 23, 127, true, true, NanCodes::kIeee};

// One zero and one NaN; no NaN at all; powers of two.
constexpr FloatFormat kE4m3fnuz = {"e4m3fnuz", 4, 3, 8, true, false, NanCodes::kNegativeZero};
constexpr FloatFormat kE2m1fn = {"e2m1fn", 2, 1, 1, true, false, NanCodes::kNone};
constexpr FloatFormat kE8m0fnu = {"e8m0fnu", 8, 0, 127, false, false, NanCodes::kAllOnes};

const FloatFormat& Other(std::string_view name) {
  for (const FloatFormat& format : kOtherFormats) {
    if (format.name == name) return format;
  }
  ADD_FAILURE() << name;
  return kFloat32;
}

TEST(FormatTest, SameAsTwin) {
  reference::ExpectSameAsTwin(kFloat16);
  reference::ExpectSameAsTwin(kBfloat16);
  for (const FloatFormat& format : {kE4m3fnuz, kE2m1fn, kE8m0fnu}) {
    ASSERT_TRUE(format.valid()) << format.name;
    reference::ExpectSameAsTwin(format);
  }
}

TEST(FormatTest, OtherFormatsSameAsTwin) {
  for (const FloatFormat& format : kOtherFormats) {
    ASSERT_TRUE(format.valid()) << format.name;
    reference::ExpectSameAsTwin(format);
  }
}

TEST(FormatTest, Facts) {
  static_assert(kFloat16.bits() == 16);
  static_assert(kFloat16.largest_finite() == 65504);
  static_assert(kFloat16.smallest_normal() == 0x1p-14);
  static_assert(kFloat16.smallest_subnormal() == 0x1p-24);
  static_assert(kFloat16.epsilon() == 0x1p-10);
  static_assert(kFloat16.infinity_code() == 0x7c00 && kFloat16.nan_code() == 0x7e00);
  EXPECT_NEAR(kFloat16.decimal_digits(), std::log10(2048), 1e-12);

  static_assert(kBfloat16.bits() == 16);
  static_assert(kBfloat16.largest_finite() == 0x1.fep127);
  static_assert(kBfloat16.smallest_normal() == 0x1p-126);
  static_assert(kBfloat16.smallest_subnormal() == 0x1p-133);
  static_assert(kBfloat16.epsilon() == 0x1p-7);
  static_assert(kBfloat16.infinity_code() == 0x7f80 && kBfloat16.nan_code() == 0x7fc0);

  static_assert(kE4m3fnuz.largest_finite() == 240);
  static_assert(kE4m3fnuz.nan_code() == 0x80);
  static_assert(!kE4m3fnuz.has_negative_zero());
  static_assert(kE2m1fn.largest_finite() == 6);
  static_assert(kE8m0fnu.bits() == 8 && !kE8m0fnu.has_zero() && !kE8m0fnu.has_negative_zero());
  static_assert(kE8m0fnu.smallest_normal() == 0x1p-127 && kE8m0fnu.largest_finite() == 0x1p127);
  static_assert(kE8m0fnu.nan_code() == 0xff && kE8m0fnu.epsilon() == 1);
  EXPECT_EQ(Other("unsigned").bits(), 8);
}

TEST(FormatTest, InvalidRows) {
  const auto valid = [](auto change) {
    FloatFormat format = kFloat16;
    change(format);
    return format.valid();
  };
  EXPECT_TRUE(valid([](FloatFormat&) {}));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.exponent_bits = 9; }));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.mantissa_bits = -1; }));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.mantissa_bits = 24; }));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.bias = 256; }));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.has_infinity = false; }));
  EXPECT_FALSE(valid([](FloatFormat& f) { f.has_sign = false, f.nan_codes = NanCodes::kNegativeZero; }));
  // Without mantissa, and so without zero, only without sign and with a NaN.
  const auto powers = [](FloatFormat& f) {
    f.mantissa_bits = 0, f.has_sign = false, f.nan_codes = NanCodes::kAllOnes;
  };
  EXPECT_TRUE(valid(powers));
  EXPECT_FALSE(valid([&](FloatFormat& f) { powers(f), f.has_sign = true; }));
  EXPECT_FALSE(valid([&](FloatFormat& f) { powers(f), f.nan_codes = NanCodes::kNone; }));
  EXPECT_FALSE(valid([&](FloatFormat& f) { powers(f), f.nan_codes = NanCodes::kIeee; }));
}

// The value types are the same formats, and their conversion is kNearestEven with kInfinity: for NaNs too.
template <typename T>
void ExpectSameAsValueType(const FloatFormat& format) {
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const T value = T::FromBits(static_cast<uint16_t>(code));
    const double decoded = Decode(format, code);
    ASSERT_EQ(IsNan(value), std::isnan(decoded)) << code;
    if (!IsNan(value)) {
      ASSERT_EQ(std::bit_cast<uint64_t>(double{value}), std::bit_cast<uint64_t>(decoded)) << code;
    }
    ASSERT_EQ(T(decoded).bits(), Encode(format, decoded, Rounding::kNearestEven, Overflow::kInfinity))
        << code;
  }
  const auto expect_same = [&](uint32_t bits) {
    const float x = std::bit_cast<float>(bits);
    ASSERT_EQ(T(x).bits(), Encode(format, x, Rounding::kNearestEven, Overflow::kInfinity)) << bits;
    // Of any double.
    const double y = std::bit_cast<double>(uint64_t{bits} << 32 | bits * 2654435761u);
    ASSERT_EQ(T(y).bits(), Encode(format, y, Rounding::kNearestEven, Overflow::kInfinity)) << bits;
  };
  // Every float whose lower 13 bits are all zeros, all ones or next to the middle of a bfloat16 or half.
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 1 << 13) {
    for (const uint32_t low : {0x0u, 0x1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu}) {
      ASSERT_NO_FATAL_FAILURE(expect_same(static_cast<uint32_t>(bits) | low));
    }
  }
}

TEST(FormatTest, SameAsHalf) { ExpectSameAsValueType<half>(kFloat16); }
TEST(FormatTest, SameAsBfloat16) { ExpectSameAsValueType<bfloat16>(kBfloat16); }

TEST(FormatTest, SameAsTheMachinesFloat) {
  const Rng rng(1);
  for (uint32_t i = 0; i < 1000000; ++i) {
    const PhiloxBlock random = rng.Block(i);
    // Of any exponent around float's range.
    const uint64_t exponent = 1023 - 152 + random[0] % (152 + 130);
    const uint64_t mantissa = (uint64_t{random[1]} << 32 | random[2]) >> 12;
    const double x = std::bit_cast<double>((random[3] & uint64_t{1}) << 63 | exponent << 52 | mantissa);
    ASSERT_EQ(Encode(kFloat32, x, Rounding::kNearestEven, Overflow::kInfinity),
              std::bit_cast<uint32_t>(static_cast<float>(x)))
        << x;
    ASSERT_EQ(Decode(kFloat32, random[1] & 0x7f7fffff), double{std::bit_cast<float>(random[1] & 0x7f7fffff)});
  }
}

// To odd and then to nearest is the same as to nearest at once; to nearest twice is not.
TEST(FormatTest, ToOddAvoidsDoubleRounding) {
  int twice_wrong = 0;
  for (uint32_t i = 0; i < 4096; ++i) {
    const double x = (1 + i * 0x1p-12) * (1 + 0x1p-30);
    const auto by_way_of_float16 = [x](Rounding rounding) {
      const double wide = Decode(kFloat16, Encode(kFloat16, x, rounding, Overflow::kInfinity));
      return Encode(kBfloat16, wide, Rounding::kNearestEven, Overflow::kInfinity);
    };
    const uint32_t once = Encode(kBfloat16, x, Rounding::kNearestEven, Overflow::kInfinity);
    ASSERT_EQ(by_way_of_float16(Rounding::kToOdd), once) << x;
    twice_wrong += by_way_of_float16(Rounding::kNearestEven) != once;
  }
  EXPECT_GT(twice_wrong, 0);
}

TEST(FormatTest, Nans) {
  const double signalling = std::bit_cast<double>(uint64_t{0xfff4'1234'0000'0001});
  for (const Rounding rounding : kRoundings) {
    for (const Overflow overflow : kOverflows) {
      const auto encode = [&](const FloatFormat& format, double x) {
        return Encode(format, x, rounding, overflow, 0);
      };
      EXPECT_EQ(encode(kFloat16, kNan), 0x7e00);
      EXPECT_EQ(encode(kFloat16, -kNan), 0xfe00);
      EXPECT_EQ(encode(kFloat16, signalling), 0xff04 | 0x0200);
      EXPECT_EQ(encode(kBfloat16, signalling), 0xffe0);
      // A float's signalling NaN with a payload that the format has no room for.
      EXPECT_EQ(Encode(kFloat16, std::bit_cast<float>(0x7f800001), rounding, overflow, 0), 0x7e00);
      EXPECT_EQ(encode(kE4m3fnuz, kNan), 0x80);
      EXPECT_EQ(encode(kE4m3fnuz, -kNan), 0x80);
      EXPECT_EQ(encode(kE2m1fn, kNan), 0x7);
      EXPECT_EQ(encode(kE2m1fn, -kNan), 0x7);
      EXPECT_EQ(encode(Other("unsigned"), -kNan), 0xff);
    }
  }
  EXPECT_EQ(std::bit_cast<uint64_t>(Decode(kFloat16, 0xfd55)), uint64_t{0xfffd'5400'0000'0000});
}

TEST(FormatTest, Zeros) {
  for (const Rounding rounding : kRoundings) {
    for (const Overflow overflow : kOverflows) {
      EXPECT_EQ(Encode(kFloat16, 0.0, rounding, overflow, 0), 0x0000);
      EXPECT_EQ(Encode(kFloat16, -0.0, rounding, overflow, 0), 0x8000);
      EXPECT_EQ(Encode(kE4m3fnuz, -0.0, rounding, overflow, 0), 0x00);
      EXPECT_EQ(Encode(Other("unsigned"), -0.0, rounding, overflow, 0), 0x00);
    }
  }
  EXPECT_EQ(Encode(kFloat16, -1e-30, Rounding::kUp, Overflow::kInfinity), 0x8000);
  EXPECT_EQ(Encode(kFloat16, -1e-30, Rounding::kDown, Overflow::kInfinity), 0x8001);
  EXPECT_EQ(Encode(kE4m3fnuz, -1e-30, Rounding::kUp, Overflow::kInfinity), 0x00);
}

// Scales: what is no positive number is NaN, what is smaller than the smallest value is that.
TEST(FormatTest, PowersOfTwo) {
  const auto encode = [](double x, Rounding rounding, uint32_t random_bits = 0) {
    return Encode(kE8m0fnu, x, rounding, Overflow::kInfinity, random_bits);
  };
  for (const Rounding rounding : kRoundings) {
    for (const double x : {0.0, -0.0, -1.0, -1e-300, -kInf, kInf, kNan}) {
      EXPECT_EQ(encode(x, rounding), 0xff) << x;
    }
    for (const double x : {5e-324, 0x1p-149, 0x1.fp-128, 0x1p-127}) EXPECT_EQ(encode(x, rounding), 0) << x;
    for (uint32_t code = 0; code < 0xff; ++code) {
      EXPECT_EQ(encode(std::ldexp(1.0, static_cast<int>(code) - 127), rounding), code);
    }
    EXPECT_EQ(Encode(kE8m0fnu, kInf, rounding, Overflow::kSaturate, 0), 0xfe);
  }
  // To nearest: halves up, whether the lower code is even or odd.
  for (const uint32_t code : {1u, 2u, 127u, 128u}) {
    const double value = Decode(kE8m0fnu, code);
    for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kNearestAway}) {
      EXPECT_EQ(encode(std::nextafter(1.5 * value, 0), rounding), code);
      EXPECT_EQ(encode(1.5 * value, rounding), code + 1);
    }
    EXPECT_EQ(encode(1.99 * value, Rounding::kTowardZero), code);
    EXPECT_EQ(encode(1.01 * value, Rounding::kUp), code + 1);
    EXPECT_EQ(encode(1.99 * value, Rounding::kDown), code);
    EXPECT_EQ(encode(1.5 * value, Rounding::kToOdd), code | 1);
    EXPECT_EQ(encode(1.25 * value, Rounding::kStochastic, 0x3fffffff), code + 1);
    EXPECT_EQ(encode(1.25 * value, Rounding::kStochastic, 0x40000000), code);
  }
  // Next to the smallest value.
  EXPECT_EQ(encode(0x1.000001p-127, Rounding::kNearestEven), 1);
  EXPECT_EQ(encode(0x1.000001p-127, Rounding::kNearestAway), 0);
  // Next to the largest.
  EXPECT_EQ(encode(0x1.7fffffp127, Rounding::kNearestEven), 0xfe);
  EXPECT_EQ(encode(0x1.8p127, Rounding::kNearestEven), 0xff);
  EXPECT_EQ(encode(0x1.8p127, Rounding::kTowardZero), 0xfe);
}

TEST(FormatTest, OverflowOfDirectedModes) {
  const auto encode = [](double x, Rounding rounding, Overflow overflow) {
    return Encode(kFloat16, x, rounding, overflow, 0);
  };
  for (const double x : {65505.0, 65536.0, 1e300}) {
    EXPECT_EQ(encode(x, Rounding::kUp, Overflow::kInfinity), 0x7c00);
    EXPECT_EQ(encode(x, Rounding::kUp, Overflow::kNan), 0x7e00);
    EXPECT_EQ(encode(x, Rounding::kUp, Overflow::kSaturate), 0x7bff);
    EXPECT_EQ(encode(-x, Rounding::kDown, Overflow::kInfinity), 0xfc00);
    for (const Overflow overflow : kOverflows) {
      for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kDown, Rounding::kToOdd}) {
        EXPECT_EQ(encode(x, rounding, overflow), 0x7bff);
      }
      EXPECT_EQ(encode(-x, Rounding::kUp, overflow), 0xfbff);
    }
  }
  // Infinities are not rounded.
  for (const Rounding rounding : kRoundings) {
    EXPECT_EQ(encode(kInf, rounding, Overflow::kInfinity), 0x7c00);
    EXPECT_EQ(encode(-kInf, rounding, Overflow::kInfinity), 0xfc00);
    EXPECT_EQ(encode(-kInf, rounding, Overflow::kNan), 0xfe00);
    EXPECT_EQ(encode(-kInf, rounding, Overflow::kSaturate), 0xfbff);
  }
}

TEST(FormatTest, StochasticComparesExactly) {
  const auto encode = [](double x, uint32_t random_bits) {
    return Encode(kFloat16, x, Rounding::kStochastic, Overflow::kInfinity, random_bits);
  };
  constexpr double kUlp = 0x1p-10;  // at 1, whose code is 0x3c00
  EXPECT_EQ(encode(1.0, 0), 0x3c00);
  EXPECT_EQ(encode(-1.0, 0), 0xbc00);
  for (const double sign : {1.0, -1.0}) {
    const uint32_t one = sign < 0 ? 0xbc00 : 0x3c00;
    EXPECT_EQ(encode(sign * (1 + kUlp / 4), 0x3fffffff), one + 1);
    EXPECT_EQ(encode(sign * (1 + kUlp / 4), 0x40000000), one);
    EXPECT_EQ(encode(sign * (1 + kUlp * 0x1p-32), 0), one + 1);
    EXPECT_EQ(encode(sign * (1 + kUlp * 0x1p-32), 1), one);
    // A fraction between two multiples of 2^-32.
    EXPECT_EQ(encode(sign * (1 + kUlp * 5 * 0x1p-34), 1), one + 1);
    EXPECT_EQ(encode(sign * (1 + kUlp * 5 * 0x1p-34), 2), one);
    EXPECT_EQ(encode(sign * (1 + kUlp * (1 - 0x1p-32)), 0xfffffffe), one + 1);
    EXPECT_EQ(encode(sign * (1 + kUlp * (1 - 0x1p-32)), 0xffffffff), one);
  }
  EXPECT_EQ(encode(5e-324, 0), 0x0001);
  EXPECT_EQ(encode(5e-324, 1), 0x0000);
  // Between the largest value, 65504, and what would follow it, 65536: infinity for a quarter of the bits.
  EXPECT_EQ(encode(65512, 0x3fffffff), 0x7c00);
  EXPECT_EQ(encode(65512, 0x40000000), 0x7bff);
  EXPECT_EQ(encode(65536, 0xffffffff), 0x7c00);
}

TEST(FormatDeathTest, StochasticNeedsRandomBits) {
  EXPECT_DEATH(Encode(kFloat16, 1.0, Rounding::kStochastic, Overflow::kInfinity), "kStochastic");
  EXPECT_DEATH(Encode(kFloat16, 1.0f, Rounding::kStochastic, Overflow::kInfinity), "kStochastic");
}

// How often n draws round away from zero is binomial. Each of the 8 counts is allowed 5 standard deviations:
// by the normal approximation a correct rounding fails with p < 8 * 5.8e-7 < 5e-6. The seed is fixed, so it
// either always passes or never.
TEST(FormatTest, StochasticIsUnbiased) {
  constexpr int kDraws = 200000;
  uint32_t stream = 0;
  for (const double fraction : {0.5, 0.1, 0.75, 0.003}) {
    for (const double base : {-1.0, 0x1p-24}) {  // and its neighbour away from zero; the second is subnormal
      const double ulp = base < 0 ? -0x1p-10 : 0x1p-24;
      const Rng rng = Rng(2024).Stream(stream++);
      int away = 0;
      for (int i = 0; i < kDraws; ++i) {
        const uint32_t code = Encode(kFloat16, base + fraction * ulp, Rounding::kStochastic,
                                     Overflow::kInfinity, rng.Bits(static_cast<uint64_t>(i)));
        const double value = Decode(kFloat16, code);
        ASSERT_TRUE(value == base || value == base + ulp) << value;
        away += value != base;
      }
      const double deviation = std::sqrt(kDraws * fraction * (1 - fraction));
      EXPECT_NEAR(away, kDraws * fraction, 5 * deviation) << base << " " << fraction;
    }
  }
}

// All of it at compile time.
static_assert(Encode(kFloat16, 0.1, Rounding::kNearestEven, Overflow::kInfinity) == 0x2e66);
static_assert(Encode(kFloat16, 0.1, Rounding::kUp, Overflow::kInfinity) == 0x2e67);
static_assert(Encode(kBfloat16, 1.0f, Rounding::kToOdd, Overflow::kNan) == 0x3f80);
static_assert(Decode(kFloat16, 0x3c00) == 1 && Decode(kFloat16, 0x8001) == -0x1p-24);

}  // namespace
}  // namespace halftone
