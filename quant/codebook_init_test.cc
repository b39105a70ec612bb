#include "quant/codebook_init.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "quant/formats.h"

namespace halftone {
namespace {

constexpr float kOne = 1;
constexpr absl::Span<const float> kOneScale(&kOne, 1);

std::vector<double> Values(const absl::StatusOr<Codebook>& codebook) {
  return std::vector<double>(codebook.value().values().begin(), codebook.value().values().end());
}

// Numbers over `divisor`, as floats.
std::vector<double> Over(float divisor, std::vector<float> numbers) {
  std::vector<double> result;
  for (const float number : numbers) result.push_back(number / divisor);
  return result;
}

bool Contains(const std::vector<double>& values, double value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::vector<float> NormalData(size_t n) {
  const Rng rng(1);
  std::vector<float> data;
  for (size_t i = 0; i < n; ++i) data.push_back(rng.Normal(i));
  return data;
}

double MeanSquaredError(const Codebook& codebook, absl::Span<const float> x) {
  std::vector<float> y(x.size());
  FakeQuantize(codebook, x, kOneScale, absl::MakeSpan(y));
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
  return sum / static_cast<double>(x.size());
}

TEST(MinifloatCodebookTest, SmallOnes) {
  EXPECT_EQ(Values(MinifloatCodebook(2)), Over(1, {-1, 0, 0.5f, 1}));
  EXPECT_EQ(Values(MinifloatCodebook(3)), Over(4, {-4, -2, -1, 0, 1, 2, 3, 4}));
  EXPECT_EQ(Values(MinifloatCodebook(4)),
            Over(6, {-6, -4, -3, -2, -1.5f, -1, -0.5f, 0, 0.5f, 1, 1.5f, 2, 3, 4, 5, 6}));
  EXPECT_EQ(Values(MinifloatCodebook(2, false)), Over(3, {0, 1, 2, 3}));
  EXPECT_EQ(Values(MinifloatCodebook(3, false)), Over(6, {0, 0.5f, 1, 1.5f, 2, 3, 4, 6}));
  EXPECT_EQ(Values(MinifloatCodebook(4, false)),
            Over(7, {0, 0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f, 1.75f, 2, 2.5f, 3, 3.5f, 4, 5, 6, 7}));
}

TEST(MinifloatCodebookTest, AllValuesOfTheFormatAndTheFilledGaps) {
  struct {
    int bits;
    FloatFormat format;
    std::vector<float> added;
  } const rows[] = {{4, kFloat4E2m1fn, {5}}, {6, kFloat6E3m2fn, {26}}, {8, kFloat8E4m3fn, {400, 432, -432}}};
  for (const auto& [bits, format, added] : rows) {
    std::set<double> expected;
    for (uint32_t code = 0; code < 1u << bits; ++code) {
      if (IsFinite(format, code)) {
        expected.insert(static_cast<float>(Decode(format, code) / format.largest_finite()));
      }
    }
    for (const float number : added) expected.insert(static_cast<float>(number / format.largest_finite()));
    EXPECT_EQ(Values(MinifloatCodebook(bits)), std::vector<double>(expected.begin(), expected.end())) << bits;
  }
}

TEST(MinifloatCodebookTest, EveryCodeHasAValueOfItsOwnUpToOne) {
  for (const bool is_signed : {true, false}) {
    for (const int bits : {2, 3, 4, 6, 8}) {
      for (const absl::StatusOr<Codebook>& codebook :
           {MinifloatCodebook(bits, is_signed), AdditivePowersOfTwoCodebook(bits, is_signed)}) {
        const std::vector<double> values = Values(codebook);
        EXPECT_EQ(values.size(), size_t{1} << bits);
        EXPECT_EQ(std::set<double>(values.begin(), values.end()).size(), values.size());
        EXPECT_EQ(values.front(), is_signed ? -1 : 0);
        EXPECT_EQ(values.back(), 1);
        EXPECT_TRUE(Contains(values, 0));
      }
    }
  }
}

TEST(MinifloatCodebookTest, RefusesOtherWidths) {
  for (const int bits : {-1, 0, 1, 5, 7, 9, 32}) {
    EXPECT_EQ(MinifloatCodebook(bits).status().code(), absl::StatusCode::kInvalidArgument) << bits;
  }
}

// The levels that the authors' code gives.
TEST(AdditivePowersOfTwoCodebookTest, PublishedLevels) {
  EXPECT_EQ(Values(AdditivePowersOfTwoCodebook(2)), Over(1, {-1, 0, 0.5f, 1}));
  EXPECT_EQ(Values(AdditivePowersOfTwoCodebook(3)), Over(4, {-4, -2, -1, 0, 1, 2, 3, 4}));
  EXPECT_EQ(Values(AdditivePowersOfTwoCodebook(4)),
            Over(10, {-10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 9, 10}));
  EXPECT_EQ(Values(AdditivePowersOfTwoCodebook(4, false)),
            Over(48, {0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48}));
  EXPECT_EQ(AdditivePowersOfTwoCodebook(1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(AdditivePowersOfTwoCodebook(9).status().code(), absl::StatusCode::kInvalidArgument);
}

// The best quantisers of the normal distribution: Max, "Quantizing for minimum distortion", IRE Transactions
// on Information Theory 6(1), 1960, table I.
TEST(QuantileCodebookTest, OfNormalDataTheOptimum) {
  const std::vector<float> x = NormalData(200000);
  struct {
    int size;
    double error;
    std::vector<double> upper_half;
  } const rows[] = {{4, 0.1175, {0.4528, 1.510}},
                    {8, 0.03454, {0.2451, 0.7560, 1.344, 2.152}},
                    {16, 0.009497, {0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733}}};
  for (const auto& [size, error, upper_half] : rows) {
    const Codebook codebook = QuantileCodebook(x, kOneScale, size, {.lloyd_iterations = 500}).value();
    for (size_t i = 0; i < upper_half.size(); ++i) {
      EXPECT_NEAR(codebook.values()[size / 2 + i], upper_half[i], 0.05) << size;
      EXPECT_NEAR(codebook.values()[size / 2 - 1 - i], -upper_half[i], 0.05) << size;
    }
    EXPECT_NEAR(MeanSquaredError(codebook, x), error, 0.02 * error) << size;
    // The number of iterations that a caller gets is near it.
    EXPECT_LT(MeanSquaredError(QuantileCodebook(x, kOneScale, size).value(), x), 1.03 * error) << size;
  }
}

TEST(QuantileCodebookTest, IterationsNeverMakeItWorse) {
  const std::vector<float> x = NormalData(5000);
  double before = std::numeric_limits<double>::infinity();
  for (int iterations = 0; iterations < 20; ++iterations) {
    const double error =
        MeanSquaredError(QuantileCodebook(x, kOneScale, 16, {.lloyd_iterations = iterations}).value(), x);
    EXPECT_LE(error, before * (1 + 1e-9)) << iterations;
    before = error;
  }
}

TEST(QuantileCodebookTest, HalfTheDataZeroTakeOneValue) {
  std::vector<float> x = NormalData(20000);
  for (float& number : x) number = std::max(number, 0.0f);
  for (const int size : {2, 4, 16, 256}) {
    const std::vector<double> values = Values(QuantileCodebook(x, kOneScale, size));
    EXPECT_EQ(values[0], 0);
    EXPECT_GT(values[1], 0);
    EXPECT_EQ(std::set<double>(values.begin(), values.end()).size(), values.size());
  }
}

TEST(QuantileCodebookTest, ZeroIfWanted) {
  const std::vector<float> x = NormalData(20000);
  for (const int size : {2, 3, 16, 256}) {
    EXPECT_FALSE(Contains(Values(QuantileCodebook(x, kOneScale, size)), 0)) << size;
    const std::vector<double> values = Values(QuantileCodebook(x, kOneScale, size, {.with_zero = true}));
    EXPECT_EQ(values.size(), static_cast<size_t>(size));
    EXPECT_EQ(std::count(values.begin(), values.end(), 0), 1) << size;
  }
}

TEST(QuantileCodebookTest, NonnegativeDataHaveNonnegativeValues) {
  std::vector<float> x = NormalData(20000);
  for (float& number : x) number = std::abs(number);
  const std::vector<double> values = Values(QuantileCodebook(x, kOneScale, 16));
  EXPECT_GT(values.front(), 0);
}

TEST(QuantileCodebookTest, FewNumbersAreAllValues) {
  std::vector<float> x;
  for (int i = 0; i < 100; ++i) x.push_back(static_cast<float>(i % 3));
  EXPECT_EQ(Values(QuantileCodebook(x, kOneScale, 3)), (std::vector<double>{0, 1, 2}));
  EXPECT_EQ(Values(QuantileCodebook(x, kOneScale, 5)), (std::vector<double>{0, 0.5, 1, 1.5, 2}));
  EXPECT_EQ(Values(QuantileCodebook({3, 3}, kOneScale, 3)), (std::vector<double>{0, 1.5, 3}));
  // As many as there are with 0.
  EXPECT_EQ(Values(QuantileCodebook({1, 2}, kOneScale, 3, {.with_zero = true})),
            (std::vector<double>{0, 1, 2}));
}

TEST(QuantileCodebookTest, RowsAreInUnitsOfTheirScales) {
  const std::vector<float> x = {-1, 0, 1, 2, -10, 0, 10, 20}, scales = {1, 10};
  EXPECT_EQ(Values(QuantileCodebook(x, scales, 4)), (std::vector<double>{-1, 0, 1, 2}));
}

TEST(QuantileCodebookTest, WhatIsNotFiniteIsLeftOut) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1, infinity, 2, -infinity, 3, std::nanf(""), 4};
  EXPECT_EQ(Values(QuantileCodebook(x, kOneScale, 4)), (std::vector<double>{1, 2, 3, 4}));
}

TEST(QuantileCodebookTest, OfManyElementsASample) {
  const std::vector<float> x = NormalData(600000);
  const Codebook first = QuantileCodebook(x, kOneScale, 16).value(),
                 again = QuantileCodebook(x, kOneScale, 16).value(),
                 other = QuantileCodebook(x, kOneScale, 16, {.seed = 1}).value();
  EXPECT_EQ(first.values(), again.values());
  EXPECT_NE(first.values(), other.values());
  EXPECT_LT(MeanSquaredError(first, x), 0.0099);
}

TEST(QuantileCodebookTest, ASampleMissesNothingButZeros) {
  std::vector<float> x(600000);
  x[123456] = 3;
  const Codebook codebook = QuantileCodebook(x, kOneScale, 4).value();
  EXPECT_EQ(codebook.values().front(), 0);
  EXPECT_EQ(codebook.values().back(), 3);
}

TEST(QuantileCodebookTest, RefusesWhatHasNoAnswer) {
  const auto code = [](std::vector<float> x, int size) {
    return QuantileCodebook(x, kOneScale, size).status().code();
  };
  EXPECT_EQ(code({}, 4), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({0, -0.0f, std::nanf("")}, 4), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({1, 2}, 1), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({1, 2}, 257), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace halftone
