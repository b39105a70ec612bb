#include "fp16/safety.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Formats whose largest code is odd (754's) and even, with few and with many bits, without infinities or
// NaNs.
const std::vector<FloatFormat>& Formats() {
  static const auto* const formats = new std::vector<FloatFormat>{
      kFloat16,
      kBfloat16,
      {"e4m3fn", 4, 3, 7, true, false, NanCodes::kAllOnes},
      {"e5m2", 5, 2, 15, true, true, NanCodes::kIeee},
      {"e4m3b11fnuz", 4, 3, 11, true, false, NanCodes::kNegativeZero},
      {"e2m1fn", 2, 1, 1, true, false, NanCodes::kNone},
      {"tf32", 8, 10, 127, true, true, NanCodes::kIeee},
      {"e5m22", 5, 22, 15, true, true, NanCodes::kIeee},
  };
  return *formats;
}

// The slow, obvious twin: each number on its own, by the exact codec.
struct Twin {
  NumberStats numbers;
  FormatStats stats;
};

Twin Expected(const FloatFormat& format, const std::vector<double>& values, int scale = 0) {
  Twin twin;
  NumberStats& n = twin.numbers;
  FormatStats& s = twin.stats;
  for (const double x : values) {
    const uint64_t index = n.elements++;
    if (!std::isfinite(x)) {
      ++(std::isnan(x) ? n.nans : n.infinities);
      if (n.first_nonfinite == kNoIndex) n.first_nonfinite = index;
      continue;
    }
    const double magnitude = std::fabs(x);
    if (x == 0) {
      ++n.zeros;
    } else {
      n.exponents.Add(std::ilogb(x), 1);
      n.min_magnitude = std::min(n.min_magnitude, magnitude);
      if (magnitude > n.max_magnitude) {
        n.max_magnitude = magnitude;
        n.max_index = index;
      }
    }
    const double scaled = std::ldexp(x, scale);
    // Beyond the largest value, where there is something beyond, shows as what is not finite.
    FloatFormat with_nan = format;
    if (format.nan_codes == NanCodes::kNone) with_nan.exponent_bits += 1;
    const double rounded =
        Decode(with_nan, Encode(with_nan, scaled, Rounding::kNearestEven, Overflow::kInfinity));
    if (!std::isfinite(rounded) || std::fabs(rounded) > format.largest_finite()) {
      ++s.overflows;
      continue;
    }
    ++s.measured;
    s.exact += rounded == scaled;
    s.underflows += rounded == 0 && x != 0;
    s.subnormals += rounded != 0 && std::fabs(rounded) < format.smallest_normal();
    const double relative = x == 0 ? 0 : std::fabs((rounded - scaled) / scaled);
    if (relative > s.max_relative_error) {
      s.max_relative_error = relative;
      s.max_error_index = index;
    }
    s.relative_errors += relative;
    const double error = std::ldexp(rounded - scaled, -scale);
    s.squared_errors += error * error;
    s.squares += x * x;
  }
  return twin;
}

void ExpectClose(double actual, double expected, const char* what) {
  EXPECT_NEAR(actual, expected, 2e-5 * std::fabs(expected)) << what;
}

void ExpectSame(const NumberStats& actual, const NumberStats& expected) {
  EXPECT_EQ(actual.elements, expected.elements);
  EXPECT_EQ(actual.nans, expected.nans);
  EXPECT_EQ(actual.infinities, expected.infinities);
  EXPECT_EQ(actual.zeros, expected.zeros);
  EXPECT_EQ(actual.first_nonfinite, expected.first_nonfinite);
  EXPECT_EQ(actual.max_magnitude, expected.max_magnitude);
  EXPECT_EQ(actual.max_index, expected.max_index);
  EXPECT_EQ(actual.min_magnitude, expected.min_magnitude);
  for (int e = ExponentHistogram::kLowest; e <= ExponentHistogram::kHighest; ++e) {
    EXPECT_EQ(actual.exponents[e], expected.exponents[e]) << "2^" << e;
  }
}

void ExpectSame(const FormatStats& actual, const FormatStats& expected) {
  EXPECT_EQ(actual.overflows, expected.overflows);
  EXPECT_EQ(actual.underflows, expected.underflows);
  EXPECT_EQ(actual.subnormals, expected.subnormals);
  EXPECT_EQ(actual.exact, expected.exact);
  EXPECT_EQ(actual.measured, expected.measured);
  EXPECT_NEAR(actual.max_relative_error, expected.max_relative_error,
              std::ldexp(expected.max_relative_error, -20));
  EXPECT_EQ(actual.max_error_index == kNoIndex, expected.max_error_index == kNoIndex);
  ExpectClose(actual.relative_errors, expected.relative_errors, "relative errors");
  ExpectClose(actual.squared_errors, expected.squared_errors, "squared errors");
  ExpectClose(actual.squares, expected.squares, "squares");
}

// The values as T, and checked at that.
template <typename T>
void Check(const std::vector<double>& values, int scale = 0) {
  const std::vector<T> from(values.begin(), values.end());
  const std::vector<double> exact(from.begin(), from.end());
  std::vector<Twin> expected;
  for (const FloatFormat& format : Formats()) expected.push_back(Expected(format, exact, scale));
  ForEachTarget([&](int64_t target) {
    SafetyCheck check(Formats(), std::vector<int>(Formats().size(), scale));
    check.Add(from);
    SCOPED_TRACE(hwy::TargetName(target));
    ExpectSame(check.numbers(), expected[0].numbers);
    for (size_t f = 0; f < Formats().size(); ++f) {
      SCOPED_TRACE(std::string(Formats()[f].name));
      const FormatStats& actual = check.of(f);
      ExpectSame(actual, expected[f].stats);
      // What is named has the error that is given.
      if (actual.max_error_index == kNoIndex) continue;
      const Twin named = Expected(Formats()[f], {exact[actual.max_error_index]}, scale);
      EXPECT_EQ(named.stats.max_relative_error, actual.max_relative_error);
    }
  });
}

template <typename T>
class SafetyTest : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SafetyTest, Types);

// Random magnitudes over 2^[low, high), of any sign.
std::vector<double> LogUniform(size_t n, double low, double high, uint64_t seed) {
  const Rng rng(seed);
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) {
    const double u = static_cast<double>(rng.Bits(2 * i)) / 4294967296.0;
    const double sign = rng.Bits(2 * i + 1) % 2 == 0 ? 1 : -1;
    values.push_back(sign * std::exp2(low + (high - low) * u));
  }
  return values;
}

TYPED_TEST(SafetyTest, EqualsTwinOnAnyRange) {
  const struct {
    double low, high;
  } kRanges[] = {{-10, 3},      {-30, 20}, {-2, -1},   {-148, -100},
                 {-149, 127.9}, {60, 127}, {-60, -45}, {-26, -13}};
  for (const auto& r : kRanges) {
    SCOPED_TRACE(r.low);
    Check<TypeParam>(LogUniform(10'000, r.low, r.high, 7));
  }
}

TEST(SafetyTest, EqualsTwinBeyondFloats) {
  Check<double>(LogUniform(5'000, -480, 480, 9));
  const std::vector<double> tiny = {5e-324, -1e-310, 1, 3e-308, 0.3};
  Check<double>(tiny);
}

// Every value of every format, the middles between them, and their neighbours.
TYPED_TEST(SafetyTest, EqualsTwinAtEveryBoundary) {
  for (const FloatFormat& format : Formats()) {
    if (format.bits() > 16) continue;
    std::vector<double> values;
    double before = 0;
    for (uint32_t code = 1; code <= format.largest_finite_code(); ++code) {
      const double value = Decode(format, code);
      for (const double x : {value, (before + value) / 2}) {
        const auto t = static_cast<TypeParam>(x);
        const auto up = std::numeric_limits<TypeParam>::infinity();
        values.insert(values.end(), {t, -std::nextafter(t, up), std::nextafter(t, TypeParam(0))});
      }
      before = value;
    }
    SCOPED_TRACE(std::string(format.name));
    Check<TypeParam>(values);
  }
}

TYPED_TEST(SafetyTest, EqualsTwinOfEveryLengthAndInPieces) {
  const std::vector<double> values = LogUniform(9'000, -20, 18, 5);
  for (const size_t n : {0, 1, 2, 63, 64, 65, 255, 3839, 3840, 3841, 7700}) {
    SCOPED_TRACE(n);
    Check<TypeParam>({values.begin(), values.begin() + n});
  }
  const std::vector<TypeParam> from(values.begin(), values.end());
  const Twin expected = Expected(kFloat16, {from.begin(), from.end()});
  for (const size_t piece : {1, 70, 4000, 9000}) {
    SCOPED_TRACE(piece);
    SafetyCheck in_pieces({kFloat16}), merged({kFloat16});
    for (size_t i = 0; i < from.size(); i += piece) {
      const auto part = absl::MakeConstSpan(from).subspan(i, piece);
      in_pieces.Add(part);
      SafetyCheck next({kFloat16});
      next.Add(part);
      merged.Merge(next);
    }
    for (const SafetyCheck* check : {&in_pieces, &merged}) {
      ExpectSame(check->numbers(), expected.numbers);
      ExpectSame(check->of(0), expected.stats);
    }
  }
}

TYPED_TEST(SafetyTest, NonfiniteAndZeros) {
  std::vector<double> values = LogUniform(5'000, -12, 2, 3);
  for (size_t i = 0; i < values.size(); i += 3) values[i] = i % 2 == 0 ? 0.0 : -0.0;
  Check<TypeParam>(values);
  values[4'001] = kNan;
  values[4'000] = -kInfinity;
  values[77] = kInfinity;
  values[78] = -kNan;
  Check<TypeParam>(values);
  Check<TypeParam>(std::vector<double>(5'000, 0.0));
  Check<TypeParam>(std::vector<double>(130, kNan));
  Check<TypeParam>({kInfinity});
}

TYPED_TEST(SafetyTest, AFewFarFromTheRest) {
  std::vector<double> values = LogUniform(8'000, -6, 1, 3);
  values[100] = 1e-30;
  values[4'100] = -3e30;
  values[7'999] = 65'520;
  values[7'000] = 1.0;
  Check<TypeParam>(values);
}

TYPED_TEST(SafetyTest, UnderAScale) {
  const std::vector<double> values = LogUniform(6'000, -40, 10, 3);
  for (const int scale : {-100, -24, -1, 1, 16, 60, kMaxScaleExponent, -kMaxScaleExponent}) {
    SCOPED_TRACE(scale);
    Check<TypeParam>(values, scale);
  }
}

TEST(SafetyTest, NegativeZeroIsNoUnderflow) {
  SafetyCheck check({kFloat16});
  check.Add(std::vector<float>{-0.0f, 0.0f, 1e-9f, -1e-9f});
  EXPECT_EQ(check.of(0).underflows, 2);
  EXPECT_EQ(check.of(0).exact, 2);
  EXPECT_EQ(check.numbers().zeros, 2);
}

TEST(SafetyTest, SqnrAndMeansInClosedForm) {
  SafetyCheck check({kFloat16});
  check.Add(std::vector<float>{1.0f, 1.0f + 0x1p-12f, 2.0f, 0.0f});  // one error of 2^-12
  EXPECT_NEAR(check.of(0).sqnr_db(), 10 * std::log10((6 + 0x1p-11) / 0x1p-24), 1e-4);
  EXPECT_NEAR(check.of(0).rms_error(), 0x1p-13, 1e-9);
  EXPECT_NEAR(check.of(0).mean_relative_error(), 0x1p-14 / (1 + 0x1p-12), 1e-9);
  EXPECT_EQ(check.of(0).max_error_index, 1);

  SafetyCheck exact({kFloat16}), lost({kFloat16});
  exact.Add(std::vector<float>{1.0f, 2.0f});
  EXPECT_EQ(exact.of(0).sqnr_db(), kInfinity);
  lost.Add(std::vector<double>{1e-200, 1e-300});
  EXPECT_EQ(lost.of(0).sqnr_db(), 0);
}

// Tries every scale.
TEST(SafetyTest, ScaleRangeEqualsTrials) {
  const struct {
    double low, high;
  } kRanges[] = {{-3, 2}, {-30, -20}, {14, 30}, {-25, 17}, {-60, 40}, {-149, 127}};
  for (const auto& r : kRanges) {
    std::vector<double> values = LogUniform(300, r.low, r.high, 11);
    values.push_back(0);
    for (const FloatFormat& format : Formats()) {
      SCOPED_TRACE(testing::Message() << format.name << " " << r.low << " to " << r.high);
      SafetyCheck check({format});
      check.Add(values);
      const ScaleRange range = FindScaleRange(check.numbers(), format);
      int highest = -kMaxScaleExponent - 1;
      for (int k = -kMaxScaleExponent; k <= kMaxScaleExponent; ++k) {
        if (Expected(format, values, k).stats.overflows == 0) highest = k;
      }
      EXPECT_EQ(range.highest, highest);
      const uint64_t fewest = Expected(format, values, highest).stats.underflows;
      EXPECT_EQ(range.underflows, fewest);
      EXPECT_EQ(Expected(format, values, range.lowest).stats.underflows, fewest);
      if (range.lowest > -kMaxScaleExponent) {
        // With bins, one more may do.
        const int fewer = range.lowest - 1 - (fewest > 0);
        EXPECT_GT(Expected(format, values, fewer).stats.underflows, fewest);
      }
    }
  }
}

TEST(SafetyTest, ScaleRangeOfPowersOfTwo) {
  // 2^-25 is the middle of 0 and float16's smallest subnormal, and becomes 0.
  SafetyCheck check({kFloat16});
  check.Add(std::vector<float>{0x1p-25f, 1.0f});
  EXPECT_EQ(check.of(0).underflows, 1);
  const ScaleRange range = FindScaleRange(check.numbers(), kFloat16);
  EXPECT_EQ(range.lowest, 1);
  EXPECT_EQ(range.highest, 15);
  EXPECT_EQ(range.underflows, 0);
  EXPECT_EQ(range.nearest_to_one(), 1);
}

TEST(SafetyTest, ScaleRangeWithoutNumbersOrScales) {
  SafetyCheck zeros({kFloat16});
  zeros.Add(std::vector<float>{0.0f, std::numeric_limits<float>::infinity()});
  const ScaleRange any = FindScaleRange(zeros.numbers(), kFloat16);
  EXPECT_EQ(any.lowest, -kMaxScaleExponent);
  EXPECT_EQ(any.highest, kMaxScaleExponent);
  SafetyCheck huge({kFloat16});
  huge.Add(std::vector<double>{1e300});
  const ScaleRange none = FindScaleRange(huge.numbers(), kFloat16);
  EXPECT_GT(none.lowest, none.highest);
}

TEST(SafetyTest, Judgement) {
  const auto judge = [](std::vector<float> values, SafetyLimits limits,
                        const FloatFormat& format = kFloat16) {
    SafetyCheck check({format});
    check.Add(values);
    return Judge(check.numbers(), check.of(0), format, limits);
  };
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(judge({}, {}).safe());
  EXPECT_TRUE(judge({1.0f, -65504.0f, 0.0f}, {}).safe());
  EXPECT_TRUE(judge({1.0f, 65520.0f}, {}).overflows);
  EXPECT_FALSE(judge({1.0f, 65520.0f}, {.max_overflows = 1}).overflows);
  EXPECT_TRUE(judge({1.0f, 1e-9f}, {}).underflows);
  EXPECT_TRUE(judge({1.0f, 1e-9f}, {.max_underflow_fraction = 0.5}).safe());
  EXPECT_TRUE(
      judge({1.0f, std::numeric_limits<float>::quiet_NaN()},
            {.max_overflows = 9, .max_underflow_fraction = 1, .min_sqnr_db = 0, .allow_infinities = true})
          .nans);
  EXPECT_TRUE(judge({infinity}, {}).infinities);
  EXPECT_TRUE(judge({infinity}, {.allow_infinities = true}).safe());
  EXPECT_TRUE(judge({infinity}, {.allow_infinities = true}, Formats()[2]).infinities);
  EXPECT_TRUE(judge({1.03f}, {.min_sqnr_db = 90}).sqnr);
  EXPECT_TRUE(judge({1e-9f, 2e-9f}, {.max_underflow_fraction = 1}).sqnr);
}

}  // namespace
}  // namespace halftone
