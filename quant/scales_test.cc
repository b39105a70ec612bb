#include "quant/scales.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "quant/formats.h"
#include "quant/integer_format.h"
#include "quant/scaled.h"
#include "testing/variations.h"

namespace halftone {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr IntegerFormat kInt8 = kIntegerFormats[0], kInt4 = kIntegerFormats[1];
constexpr IntegerFormat kInt8Affine = kIntegerFormats[3];

std::vector<float> Normals(size_t n, uint32_t stream = 0) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = Rng(1).Stream(stream).Normal(i);
  return x;
}

float SlowAmax(absl::Span<const float> x) {
  float amax = 0;
  for (const float v : x) {
    if (std::isfinite(v)) amax = std::max(amax, std::fabs(v));
  }
  return amax;
}

// The ranked magnitude by sorting.
float SlowPercentile(absl::Span<const float> x, double percentile) {
  std::vector<float> sorted;
  for (const float v : x) {
    if (std::isfinite(v)) sorted.push_back(std::fabs(v));
  }
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(percentile * static_cast<double>(sorted.size()) / 100);
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

// body() on every instruction set, on one, two and three threads.
template <class Body>
void Everywhere(Body body) {
  ForEachTarget([&](int64_t target) {
    SCOPED_TRACE(hwy::TargetName(target));
    ForEachThreadCount([&](int) { body(); });
  });
}

TEST(ScalesTest, Amax) {
  for (const size_t n :
       {size_t{1}, size_t{3}, size_t{16}, size_t{17}, size_t{100}, size_t{70000}, size_t{200001}}) {
    for (const size_t largest_at : {size_t{0}, n / 2, n - 1}) {
      std::vector<float> x = Normals(n);
      x[largest_at] = -9;
      Everywhere([&] { EXPECT_EQ(Amax(x), 9) << n; });
      if (n < 3) continue;
      x[largest_at] = kNan;
      x[(largest_at + 1) % n] = -kInf;
      x[(largest_at + 2) % n] = kInf;
      Everywhere([&] { EXPECT_EQ(Amax(x), SlowAmax(x)) << n; });
    }
  }
  EXPECT_EQ(Amax({}), 0);
  EXPECT_EQ(Amax(std::vector<float>(40, 0.0f)), 0);
  EXPECT_EQ(Amax({kNan, kInf, -kInf}), 0);
  EXPECT_EQ(Amax({0x1p-149f, -0.0f}), 0x1p-149f);
  EXPECT_EQ(Amax({-FLT_MAX, kInf}), FLT_MAX);
}

TEST(ScalesTest, ScaleOf) {
  EXPECT_EQ(ScaleOf(448, 448), 1);
  EXPECT_EQ(ScaleOf(1, 448), 1.0f / 448);
  EXPECT_EQ(ScaleOf(0, 448), 1);
  EXPECT_EQ(ScaleOf(0x1p-149f, 448), FLT_MIN);
  EXPECT_EQ(ScaleOf(FLT_MAX, 0.5), FLT_MAX);
  EXPECT_EQ(ScaleOf(8, 4, true), 2);
  EXPECT_EQ(ScaleOf(8.000001f, 4, true), 4);
  EXPECT_EQ(ScaleOf(FLT_MAX, 1, true), 0x1p127f);
  // No magnitude lies beyond the largest value, and none much below it.
  for (const double largest : {448.0, 127.0, 7.0, 6.0, 1.0}) {
    for (const float x : Normals(2000)) {
      const float amax = std::fabs(x), scale = ScaleOf(amax, largest), power = ScaleOf(amax, largest, true);
      ASSERT_LE(amax / scale, largest) << std::hexfloat << amax;
      ASSERT_NEAR(scale, amax / largest, scale * 1.2e-7);
      ASSERT_LE(amax / power, largest);
      ASSERT_GT(amax / power * 2, largest * (1 - 1e-6));
      int exponent;
      ASSERT_EQ(std::frexp(power, &exponent), 0.5f);
    }
  }
}

TEST(ScalesTest, OneARow) {
  const std::vector<float> x = {1, -2, 0.5f, 0, 0, -0.0f, kNan, 3, -kInf, kNan, kInf, kNan};
  std::vector<float> scales(4);
  ComputeScales(kInt8, x, {}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>{ScaleOf(2, 127), 1, ScaleOf(3, 127), 1}));
  ComputeScales(kFloat8E4m3fn, x, {}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>{ScaleOf(2, 448), 1, ScaleOf(3, 448), 1}));
  ComputeScales(0.75, x, {}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>{ScaleOf(2, 0.75), 1, 4, 1}));
  ComputeScales(kFloat4E2m1fn, x, {.power_of_two = true}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>{0.5f, 1, 0.5f, 1}));
  // No rule finds a number where there is none.
  for (const ScaleRule rule : {ScaleRule::kPercentile, ScaleRule::kMse}) {
    ComputeScales(kInt8, x, {.rule = rule}, absl::MakeSpan(scales));
    EXPECT_EQ(scales[1], 1);
    EXPECT_EQ(scales[3], 1);
  }
  ComputeScales(kInt8, {}, {}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>(4, 1.0f)));
}

// Both ways of selection: sorting few elements, histograms of many.
TEST(ScalesTest, PercentileIsExact) {
  for (const size_t n : {size_t{1}, size_t{10}, size_t{999}, size_t{300007}}) {
    std::vector<float> x = Normals(n, 3);
    if (n > 10) {
      x[5] = kNan;
      x[7] = -kInf;
      x[8] = 0x1p-140f;
    }
    for (const double percentile : {0.001, 10.0, 50.0, 99.0, 99.9, 100.0}) {
      std::vector<float> scales(1);
      Everywhere([&] {
        ComputeScales(1, x, {.rule = ScaleRule::kPercentile, .percentile = percentile},
                      absl::MakeSpan(scales));
        EXPECT_EQ(scales[0], std::max(SlowPercentile(x, percentile), FLT_MIN)) << n << " " << percentile;
      });
    }
  }
  // Rows apart; where the percentile is 0, amax.
  const std::vector<float> x = {1, 2, 3, 4, 0, 0, 0, 8};
  std::vector<float> scales(2);
  ComputeScales(1, x, {.rule = ScaleRule::kPercentile, .percentile = 75}, absl::MakeSpan(scales));
  EXPECT_EQ(scales, (std::vector<float>{3, 8}));
}

double Error(const IntegerFormat& format, absl::Span<const float> x, float scale) {
  std::vector<float> y(x.size());
  FakeQuantize(format, x, {scale}, {}, Rounding::kNearestEven, absl::MakeSpan(y));
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(x[i])) error += (static_cast<double>(x[i]) - y[i]) * (static_cast<double>(x[i]) - y[i]);
  }
  return error;
}

TEST(ScalesTest, LeastSquaredError) {
  std::vector<float> x = Normals(9000, 4);
  x[17] = 12;  // an outlier, which is worth its saturation
  x[20] = kNan;
  x[4000] = kInf;
  const ScaleOptions mse = {.rule = ScaleRule::kMse};
  double least = std::numeric_limits<double>::infinity();
  float expected = 0;
  for (int percent = 100; percent >= 21; --percent) {
    const float scale = ScaleOf(static_cast<float>(12.0f * (percent / 100.0)), 7);
    if (Error(kInt4, x, scale) < least) {
      least = Error(kInt4, x, scale);
      expected = scale;
    }
  }
  std::vector<float> scales(1), powers(1);
  Everywhere([&] {
    ComputeScales(kInt4, x, mse, absl::MakeSpan(scales));
    EXPECT_EQ(scales[0], expected);
    ComputeScales(kInt4, x, {.rule = ScaleRule::kMse, .power_of_two = true}, absl::MakeSpan(powers));
    EXPECT_EQ(powers[0], 0.5f);
  });
  EXPECT_LT(expected, ScaleOf(8, 7));
  for (const float other : {2.0f, 1.0f, 0.25f}) EXPECT_LT(Error(kInt4, x, 0.5f), Error(kInt4, x, other));

  // Floats, by their own FakeQuantize: better than amax.
  ComputeScales(kFloat4E2m1fn, x, mse, absl::MakeSpan(scales));
  EXPECT_LT(scales[0], ScaleOf(12, 6));
  // What amax does exactly stays.
  ComputeScales(kInt4, {7, -3, 2, 1}, mse, absl::MakeSpan(scales));
  EXPECT_EQ(scales[0], 1);
}

TEST(ScalesTest, Affine) {
  const std::vector<float> x = {-1, 4.1f, kNan, 5, 6, kInf, -7, -2, -kInf, 0, kNan, 0};
  std::vector<float> scales(4);
  std::vector<int32_t> zero_points(4);
  Everywhere([&] {
    ComputeScales(kInt8Affine, x, {}, absl::MakeSpan(scales), absl::MakeSpan(zero_points));
    EXPECT_EQ(scales, (std::vector<float>{5.1f / 255, 6.0f / 255, 7.0f / 255, 1}));
    // The range of the second row begins at 0, that of the third ends there.
    EXPECT_EQ(zero_points, (std::vector<int32_t>{-128 + 50, -128, 127, 0}));
  });
  ComputeScales(kInt8Affine, x, {.power_of_two = true}, absl::MakeSpan(scales), absl::MakeSpan(zero_points));
  EXPECT_EQ(scales, (std::vector<float>{1.0f / 32, 1.0f / 32, 1.0f / 32, 1}));
  EXPECT_EQ(zero_points, (std::vector<int32_t>{-128 + 32, -128, -128 + 224, 0}));

  std::vector<float> many = Normals(5000, 9);
  for (float& v : many) v += 1;
  many[77] = 50;
  std::vector<float> one(1), cut(1), best(1);
  std::vector<int32_t> zero(1);
  ComputeScales(kInt8Affine, many, {}, absl::MakeSpan(one), absl::MakeSpan(zero));
  ComputeScales(kInt8Affine, many, {.rule = ScaleRule::kPercentile, .percentile = 99}, absl::MakeSpan(cut),
                absl::MakeSpan(zero));
  EXPECT_LT(cut[0], one[0] / 5);
  ComputeScales(kIntegerFormats[4], many, {}, absl::MakeSpan(one), absl::MakeSpan(zero));
  ComputeScales(kIntegerFormats[4], many, {.rule = ScaleRule::kMse}, absl::MakeSpan(best),
                absl::MakeSpan(zero));
  EXPECT_LT(best[0], one[0] / 2);
  // Zero has a code of its own, and the widest range is one.
  ComputeScales(kInt8Affine, {-FLT_MAX, FLT_MAX}, {}, absl::MakeSpan(one), absl::MakeSpan(zero));
  EXPECT_TRUE(std::isfinite(one[0]));
  EXPECT_LE(std::abs(zero[0]), 1);
}

TEST(ScalesTest, Lsq) {
  EXPECT_EQ(LsqInitialScale({1, -3, kNan, kInf}, 4), 2);
  EXPECT_EQ(LsqInitialScale({0, -0.0f}, 4), 1);
  EXPECT_EQ(LsqInitialScale({}, 4), 1);
  EXPECT_EQ(LsqInitialScale({kNan}, 4), 1);
  EXPECT_EQ(LsqInitialScale({0x1p-149f, 0}, 4), FLT_MIN);
  EXPECT_DOUBLE_EQ(LsqGradientFactor(100, 4), 0.05);
  const std::vector<float> x = Normals(50001);
  double sum = 0;
  for (const float v : x) sum += std::fabs(v);
  const float first = LsqInitialScale(x, 7);
  EXPECT_NEAR(first, 2 * sum / 50001 / std::sqrt(7.0), 1e-6);
  Everywhere([&] { EXPECT_EQ(LsqInitialScale(x, 7), first); });
}

TEST(ScalesTest, AmaxHistory) {
  AmaxHistory history(3);
  EXPECT_EQ(history.Max(), 0);
  EXPECT_EQ(ScaleOf(history.Max(), 448), 1);
  for (const float amax : {5.0f, 1.0f, kInf, kNan, -1.0f}) history.Add(amax);
  EXPECT_EQ(history.Max(), 5);
  history.Add(2);
  EXPECT_EQ(history.Max(), 5);
  history.Add(3);  // the 5 is gone
  EXPECT_EQ(history.Max(), 3);
  EXPECT_EQ(std::vector<float>(history.values().begin(), history.values().end()),
            (std::vector<float>{1, 2, 3}));

  AmaxHistory restored(3);
  ASSERT_TRUE(restored.Restore(history.values()).ok());
  restored.Add(0);
  history.Add(0);
  EXPECT_EQ(restored.values(), history.values());
  EXPECT_EQ(restored.Restore({1, 2, 3, 4}).message(),
            "4 values for an amax history of 3: restore it with the length it was saved with");
  for (const float bad : {kInf, kNan, -1.0f}) {
    EXPECT_EQ(restored.Restore({1, bad}).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(restored.values(), history.values());
  ASSERT_TRUE(restored.Restore({}).ok());
  EXPECT_EQ(restored.Max(), 0);
}

TEST(ScalesTest, MisuseStopsTheProgram) {
  std::vector<float> scales(2);
  std::vector<int32_t> zero_points(2);
  const std::vector<float> x(4, 1);
  EXPECT_DEATH(ComputeScales(7, x, {.rule = ScaleRule::kMse}, absl::MakeSpan(scales)), "check failed");
  EXPECT_DEATH(ComputeScales(7, absl::MakeConstSpan(x).first(3), {}, absl::MakeSpan(scales)), "check failed");
  EXPECT_DEATH(ComputeScales(kInt8, x, {}, absl::MakeSpan(scales), absl::MakeSpan(zero_points)),
               "check failed");
  EXPECT_DEATH(ComputeScales(7, x, {.rule = ScaleRule::kPercentile, .percentile = 0}, absl::MakeSpan(scales)),
               "check failed");
  EXPECT_DEATH(ScaleOf(kInf, 7), "check failed");
  EXPECT_DEATH(AmaxHistory(0), "check failed");
}

}  // namespace
}  // namespace halftone
