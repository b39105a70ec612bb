#include "tensor/ops/safety/safety.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "quant/formats.h"
#include "testing/device.h"

namespace halftone::ops {
namespace {

// Of many magnitudes, positive and negative.
template <typename T>
std::vector<T> Numbers(size_t n, uint64_t seed, int exponents) {
  const Rng rng(seed);
  std::vector<T> numbers(n);
  for (size_t i = 0; i < n; ++i) {
    const int exponent =
        static_cast<int>(rng.Below(2 * i + 1, static_cast<uint32_t>(2 * exponents))) - exponents;
    numbers[i] = static_cast<T>(std::ldexp(rng.Normal(i), exponent));
  }
  return numbers;
}

void ExpectClose(double actual, double expected, double tolerance) {
  EXPECT_NEAR(actual, expected, tolerance * std::fabs(expected));
}

void ExpectSame(const SafetyCheck& actual, const SafetyCheck& expected) {
  const NumberStats &a = actual.numbers(), &e = expected.numbers();
  EXPECT_EQ(a.elements, e.elements);
  EXPECT_EQ(a.nans, e.nans);
  EXPECT_EQ(a.infinities, e.infinities);
  EXPECT_EQ(a.zeros, e.zeros);
  EXPECT_EQ(a.first_nonfinite, e.first_nonfinite);
  EXPECT_EQ(a.max_magnitude, e.max_magnitude);
  EXPECT_EQ(a.max_index, e.max_index);
  EXPECT_EQ(a.min_magnitude, e.min_magnitude);
  for (int x = ExponentHistogram::kLowest; x <= ExponentHistogram::kHighest; ++x) {
    EXPECT_EQ(a.exponents[x], e.exponents[x]) << "2^" << x;
  }
  for (size_t f = 0; f < actual.formats().size(); ++f) {
    SCOPED_TRACE(std::string(actual.formats()[f].name));
    const FormatStats &af = actual.of(f), &ef = expected.of(f);
    EXPECT_EQ(af.overflows, ef.overflows);
    EXPECT_EQ(af.underflows, ef.underflows);
    EXPECT_EQ(af.subnormals, ef.subnormals);
    EXPECT_EQ(af.exact, ef.exact);
    EXPECT_EQ(af.measured, ef.measured);
    ExpectClose(af.max_relative_error, ef.max_relative_error, 0x1p-20);
    EXPECT_EQ(af.max_error_index == kNoIndex, ef.max_error_index == kNoIndex);
    ExpectClose(af.relative_errors, ef.relative_errors, 2e-5);
    ExpectClose(af.squared_errors, ef.squared_errors, 2e-5);
    ExpectClose(af.squares, ef.squares, 2e-5);
  }
}

// In formats of every kind, at several scales; the numbers in two parts.
template <typename T>
void Check(const std::vector<T>& first, const std::vector<T>& second) {
  for (const int scale : {0, 7, -30}) {
    SCOPED_TRACE(scale);
    const std::vector<FloatFormat> formats = {kFloat16,    kBfloat16,          kFloat8E4m3fn,
                                              kFloat8E5m2, kFloat8E4m3b11fnuz, kFloat4E2m1fn};
    const std::vector<int> scales(formats.size(), scale);
    SafetyCheck actual(formats, scales), expected(formats, scales);
    for (const std::vector<T>* part : {&first, &second}) {
      AddToCheck(Tensor::From<T>(TestDevice(), {static_cast<int64_t>(part->size())}, *part), actual);
      expected.Add(absl::MakeConstSpan(*part));
    }
    ExpectSame(actual, expected);
  }
}

TEST(SafetyTest, CountsWhatTheHostCounts) {
  Check(Numbers<float>(1, 1, 1), Numbers<float>(10'007, 2, 40));
  Check(Numbers<float>(4'000, 3, 120), Numbers<float>(257, 4, 3));
  Check(Numbers<double>(3'001, 5, 20), Numbers<double>(999, 6, 300));
}

TEST(SafetyTest, FindsTheFirstOfEach) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> numbers = Numbers<float>(3'000, 7, 10);
  numbers[2'900] = -3e38f;
  numbers[2'950] = 3e38f;
  numbers[1'500] = NAN;
  numbers[1'400] = -kInfinity;
  numbers[100] = 0x1p-149f;
  numbers[200] = -0.0f;
  numbers[300] = 65520;
  Check(std::vector<float>(70, 0.0f), numbers);
  Check(numbers, std::vector<float>{NAN});
  Check(std::vector<double>{5e-324, -1e-310, 1e300}, std::vector<double>{-1e300, HUGE_VAL});
}

TEST(SafetyTest, NothingIsNothing) {
  SafetyCheck check({kFloat16});
  AddToCheck(Tensor::Empty(TestDevice(), DType::kF32, {0}), check);
  EXPECT_EQ(check.numbers().elements, 0u);
}

}  // namespace
}  // namespace halftone::ops
