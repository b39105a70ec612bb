// half and bfloat16 as values: every one of their 65,536 codes through every function.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <sstream>
#include <type_traits>
#include <vector>

#include "fp16/bfloat16.h"
#include "fp16/convert_reference.h"
#include "fp16/half.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using HalfLimits = std::numeric_limits<half>;
using Bfloat16Limits = std::numeric_limits<bfloat16>;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Rounding, at compile time.
static_assert(half(1.0f).bits() == 0x3c00 && half(-2.0).bits() == 0xc000 && half(0.1f).bits() == 0x2e66);
static_assert(half(65504.0f).bits() == 0x7bff && half(65519.99).bits() == 0x7bff);
static_assert(half(65520.0f).bits() == 0x7c00 && half(-1e30).bits() == 0xfc00);
static_assert(half(0x1p-24f).bits() == 1 && half(0x1p-25f).bits() == 0 && half(0x1.000002p-25f).bits() == 1);
static_assert(half(0x1.8p-24f).bits() == 2 && half(0x1p-149f).bits() == 0 && half(-1e-300).bits() == 0x8000);
static_assert(half(0x1.ffcp-15f).bits() == 0x3ff + 1 && half(0x1.ff8p-15f).bits() == 0x3ff);
static_assert(half(1 + 0x1p-11f).bits() == 0x3c00 && half(1 + 0x3p-11f).bits() == 0x3c02);
static_assert(bfloat16(1.0f).bits() == 0x3f80 && bfloat16(-2.0).bits() == 0xc000);
static_assert(bfloat16(0x1.ffp127f).bits() == 0x7f80 && bfloat16(0x1.fefffep127f).bits() == 0x7f7f);
static_assert(bfloat16(0x1p-133f).bits() == 1 && bfloat16(0x1p-134f).bits() == 0);
static_assert(bfloat16(0x1.8p-133f).bits() == 2 && bfloat16(0x1.01p0f).bits() == 0x3f80);
// A double is rounded once: by way of float these would be ties.
static_assert(half(1 + 0x1p-11 + 0x1p-40).bits() == 0x3c01 && half(1 + 0x3p-11 - 0x1p-40).bits() == 0x3c01);
static_assert(bfloat16(1 + 0x1p-8 + 0x1p-40).bits() == 0x3f81);
static_assert(half(2049).bits() == half(2048.0f).bits() && bfloat16(uint32_t{0xffffffff}) == 0x1p32f);

// Widening a signalling NaN: half's becomes quiet, bfloat16's is moved as it is.
static_assert(std::bit_cast<uint32_t>(static_cast<float>(half::FromBits(0xfd01))) == 0xffe02000);
static_assert(std::bit_cast<uint32_t>(static_cast<float>(bfloat16::FromBits(0xff81))) == 0xff810000);

// Conversions: none into the narrow types without being asked.
static_assert(!std::is_convertible_v<float, half> && !std::is_convertible_v<double, half>);
static_assert(!std::is_convertible_v<int, half> && !std::is_convertible_v<half, bfloat16>);
static_assert(!std::is_convertible_v<float, bfloat16> && !std::is_convertible_v<bfloat16, half>);
static_assert(std::is_convertible_v<half, float> && std::is_convertible_v<bfloat16, float>);
static_assert(std::is_same_v<decltype(half() + half()), float> && std::is_same_v<decltype(-half()), half>);
static_assert(half(bfloat16(1.5f)) == 1.5f && bfloat16(half(-0.25f)) == -0.25);

// Comparison.
static_assert(half(-0.0f) == half(0.0f) && half(1) < half(2) && half(-1) >= half(-1) &&
              half(1) != bfloat16(2));
static_assert(half(kNan) != half(kNan) && !(half(kNan) < half(1)) && !(half(kNan) >= half(1)));
static_assert(bfloat16(kNan) != bfloat16(kNan) && bfloat16(-0.0f) == bfloat16(0.0f));

// Predicates.
static_assert(IsNan(half(kNan)) && !IsNan(half(kInf)) && !IsNan(half(1)));
static_assert(IsInf(half(-kInf)) && !IsInf(HalfLimits::max()) && IsFinite(HalfLimits::max()));
static_assert(IsSubnormal(half(0x1p-15f)) && !IsSubnormal(HalfLimits::min()) && !IsSubnormal(half(0)));
static_assert(SignBit(half(-0.0f)) && SignBit(-half(kNan)) && !SignBit(half(kNan)));

// std::numeric_limits, against float's definitions of them.
static_assert(HalfLimits::max() == 65504 && HalfLimits::lowest() == -65504 && HalfLimits::min() == 0x1p-14f);
static_assert(HalfLimits::denorm_min() == 0x1p-24f && HalfLimits::epsilon() == 0x1p-10f);
static_assert(HalfLimits::round_error() == 0.5f && HalfLimits::infinity() == kInf);
static_assert(IsNan(HalfLimits::quiet_NaN()) && HalfLimits::quiet_NaN().bits() == 0x7e00);
static_assert(IsNan(HalfLimits::signaling_NaN()) && HalfLimits::signaling_NaN().bits() == 0x7d00);
static_assert(HalfLimits::digits == 11 && HalfLimits::digits10 == 3 && HalfLimits::max_digits10 == 5);
static_assert(HalfLimits::min_exponent == -13 && HalfLimits::max_exponent == 16);
static_assert(HalfLimits::min_exponent10 == -4 && HalfLimits::max_exponent10 == 4);
static_assert(Bfloat16Limits::max() == 0x1.fep127f && Bfloat16Limits::lowest() == -0x1.fep127f);
static_assert(Bfloat16Limits::min() == 0x1p-126f && Bfloat16Limits::denorm_min() == 0x1p-133f);
static_assert(Bfloat16Limits::epsilon() == 0x1p-7f && Bfloat16Limits::round_error() == 0.5f);
static_assert(Bfloat16Limits::infinity() == kInf && Bfloat16Limits::quiet_NaN().bits() == 0x7fc0);
static_assert(Bfloat16Limits::signaling_NaN().bits() == 0x7fa0);
static_assert(Bfloat16Limits::digits == 8 && Bfloat16Limits::digits10 == 2 &&
              Bfloat16Limits::max_digits10 == 4);
static_assert(Bfloat16Limits::min_exponent == std::numeric_limits<float>::min_exponent);
static_assert(Bfloat16Limits::max_exponent == std::numeric_limits<float>::max_exponent);
static_assert(Bfloat16Limits::min_exponent10 == std::numeric_limits<float>::min_exponent10);
static_assert(Bfloat16Limits::max_exponent10 == std::numeric_limits<float>::max_exponent10);

template <typename L>
constexpr bool AgreesWithFloat() {
  using F = std::numeric_limits<float>;
  return L::is_specialized && L::is_signed == F::is_signed && L::is_integer == F::is_integer &&
         L::is_exact == F::is_exact && L::has_infinity == F::has_infinity &&
         L::has_quiet_NaN == F::has_quiet_NaN && L::has_signaling_NaN == F::has_signaling_NaN &&
         L::has_denorm == F::has_denorm && L::has_denorm_loss == F::has_denorm_loss &&
         L::round_style == F::round_style && L::is_iec559 == F::is_iec559 && L::is_bounded == F::is_bounded &&
         L::is_modulo == F::is_modulo && L::radix == F::radix && L::traps == F::traps &&
         L::tinyness_before == F::tinyness_before;
}
static_assert(AgreesWithFloat<HalfLimits>() && AgreesWithFloat<Bfloat16Limits>());

// The same value: NaN equals NaN, and -0 differs from +0.
::testing::AssertionResult Same(double actual, double expected) {
  const bool equal = std::isnan(expected) ? std::isnan(actual) : actual == expected;
  if (equal && std::signbit(actual) == std::signbit(expected)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << std::hexfloat << actual << " instead of " << expected;
}

template <typename T>
class MinifloatTest : public ::testing::Test {
 protected:
  using Reference = reference::Converter<T>;

  static std::vector<uint16_t> AllCodes() {
    std::vector<uint16_t> codes(0x10000);
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint16_t>(i);
    return codes;
  }

  const Reference reference_;
};

using Types = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(MinifloatTest, Types);

TYPED_TEST(MinifloatTest, EveryCodeWidensExactly) {
  for (const uint16_t code : this->AllCodes()) {
    const TypeParam x = TypeParam::FromBits(code);
    ASSERT_EQ(x.bits(), code);
    ASSERT_TRUE(Same(static_cast<float>(x), this->reference_.Decode(code))) << code;
  }
}

TYPED_TEST(MinifloatTest, EveryCodeRoundTrips) {
  for (const uint16_t code : this->AllCodes()) {
    const TypeParam x = TypeParam::FromBits(code);
    // A NaN keeps its payload too, but comes back quiet.
    const uint16_t expected = IsNan(x) ? code | std::numeric_limits<TypeParam>::quiet_NaN().bits() : code;
    ASSERT_EQ(TypeParam(static_cast<float>(x)).bits(), expected) << code;
    ASSERT_EQ(TypeParam(static_cast<double>(static_cast<float>(x))).bits(), expected) << code;
  }
}

TYPED_TEST(MinifloatTest, PredicatesOfEveryCode) {
  const double smallest_normal = std::ldexp(1.0, 1 - TestFixture::Reference::kBias);
  for (const uint16_t code : this->AllCodes()) {
    const TypeParam x = TypeParam::FromBits(code);
    const double value = this->reference_.Decode(code);
    ASSERT_EQ(IsNan(x), std::isnan(value)) << code;
    ASSERT_EQ(IsInf(x), std::isinf(value)) << code;
    ASSERT_EQ(IsFinite(x), std::isfinite(value)) << code;
    ASSERT_EQ(IsSubnormal(x), value != 0 && std::fabs(value) < smallest_normal) << code;
    ASSERT_EQ(SignBit(x), std::signbit(value)) << code;
  }
}

TYPED_TEST(MinifloatTest, NegationFlipsTheSignOfEveryCode) {
  for (const uint16_t code : this->AllCodes()) {
    const TypeParam negated = -TypeParam::FromBits(code);
    ASSERT_EQ(negated.bits(), code ^ 0x8000) << code;
    ASSERT_TRUE(Same(static_cast<float>(negated), -this->reference_.Decode(code))) << code;
  }
}

TYPED_TEST(MinifloatTest, EveryCodeComparesAsItsValue) {
  using L = std::numeric_limits<TypeParam>;
  const TypeParam others[] = {TypeParam(0.0f), TypeParam(-0.0f), L::denorm_min(),  -L::denorm_min(),
                              L::min(),        TypeParam(1.0f),  TypeParam(-1.0f), L::max(),
                              L::lowest(),     L::infinity(),    -L::infinity(),   L::quiet_NaN(),
                              -L::quiet_NaN()};
  for (const uint16_t code : this->AllCodes()) {
    const TypeParam x = TypeParam::FromBits(code);
    const double value = this->reference_.Decode(code);
    for (const TypeParam other : others) {
      const double other_value = this->reference_.Decode(other.bits());
      ASSERT_EQ(x == other, value == other_value) << code << " " << other.bits();
      ASSERT_EQ(x != other, value != other_value) << code << " " << other.bits();
      ASSERT_EQ(x < other, value < other_value) << code << " " << other.bits();
      ASSERT_EQ(x <= other, value <= other_value) << code << " " << other.bits();
      ASSERT_EQ(x > other, value > other_value) << code << " " << other.bits();
      ASSERT_EQ(x >= other, value >= other_value) << code << " " << other.bits();
      ASSERT_EQ(x <=> other, value <=> other_value) << code << " " << other.bits();
      ASSERT_EQ(x < other_value, value < other_value) << code << " " << other.bits();
    }
  }
}

TYPED_TEST(MinifloatTest, ZerosHashAlikeAndOtherCodesApart) {
  const std::hash<TypeParam> hash;
  EXPECT_EQ(hash(TypeParam(0.0f)), hash(TypeParam(-0.0f)));
  std::set<size_t> hashes;
  for (const uint16_t code : this->AllCodes()) hashes.insert(hash(TypeParam::FromBits(code)));
  EXPECT_EQ(hashes.size(), 0xffffu);
}

TYPED_TEST(MinifloatTest, EveryCodePrintsAsItsValue) {
  for (const uint16_t code : this->AllCodes()) {
    std::ostringstream actual, expected;
    actual << TypeParam::FromBits(code);
    expected << this->reference_.Decode(code);
    ASSERT_EQ(actual.str(), expected.str()) << code;
  }
}

TYPED_TEST(MinifloatTest, LimitsAreTheEndsOfTheCodes) {
  using L = std::numeric_limits<TypeParam>;
  double largest = 0, smallest_positive = 1, after_one = 2;
  for (const uint16_t code : this->AllCodes()) {
    const double value = this->reference_.Decode(code);
    if (!std::isfinite(value)) continue;
    largest = std::max(largest, value);
    if (value > 0) smallest_positive = std::min(smallest_positive, value);
    if (value > 1) after_one = std::min(after_one, value);
  }
  EXPECT_EQ(L::max(), largest);
  EXPECT_EQ(L::lowest(), -largest);
  EXPECT_EQ(L::denorm_min(), smallest_positive);
  EXPECT_EQ(L::epsilon(), after_one - 1);
}

// Doubles at and next to every code and every middle between codes, as close as double gets: rounding by way
// of float would take the neighbours of a middle for the middle itself.
TYPED_TEST(MinifloatTest, DoublesRoundOnce) {
  for (uint16_t code = 0; code < TestFixture::Reference::kInfinity; ++code) {
    const double value = this->reference_.Decode(code);
    const double unit = std::ldexp(1.0, std::max(std::ilogb(value), 1 - TestFixture::Reference::kBias) -
                                            TestFixture::Reference::kMantissaBits);
    for (const double x : {value, value + unit / 2}) {
      for (const double near : {x, std::nextafter(x, 0), std::nextafter(x, 1e300), x * (1 + 0x1p-40)}) {
        ASSERT_EQ(TypeParam(near).bits(), this->reference_.Encode(near)) << std::hexfloat << near;
        ASSERT_EQ(TypeParam(-near).bits(), this->reference_.Encode(-near)) << std::hexfloat << near;
      }
    }
  }
}

TYPED_TEST(MinifloatTest, DoublesOfEveryExponent) {
  for (uint64_t exponent = 0; exponent < 2047; ++exponent) {
    for (const uint64_t mantissa : {0ull, 1ull, 0x5555555555555ull, 0x8000000000000ull, 0xfffffffffffffull}) {
      const double x = std::bit_cast<double>(exponent << 52 | mantissa);
      ASSERT_EQ(TypeParam(x).bits(), this->reference_.Encode(x)) << std::hexfloat << x;
      ASSERT_EQ(TypeParam(-x).bits(), this->reference_.Encode(-x)) << std::hexfloat << x;
    }
  }
}

TYPED_TEST(MinifloatTest, DoubleNansKeepSignAndPayload) {
  const uint16_t quiet = std::numeric_limits<TypeParam>::quiet_NaN().bits();
  const auto code = [](uint64_t bits) { return TypeParam(std::bit_cast<double>(bits)).bits(); };
  EXPECT_EQ(code(0x7ff8000000000000), quiet);
  EXPECT_EQ(code(0xfff8000000000000), quiet | 0x8000);
  EXPECT_EQ(code(0x7ff0000000000001), quiet) << "signalling, and its payload lost";
  EXPECT_EQ(code(0xffffffffffffffff), 0xffff);
}

}  // namespace
}  // namespace halftone
