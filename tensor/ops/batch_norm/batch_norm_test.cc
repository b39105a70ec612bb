#include "tensor/ops/batch_norm/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensor/ops/batch_norm/batch_norm_implementations.h"
#include "tensor/ops/elementwise/elementwise.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

constexpr BatchNormActivation kNone = BatchNormActivation::kNone, kRelu = BatchNormActivation::kRelu,
                              kRelu6 = BatchNormActivation::kRelu6;

struct Case {
  DType dtype;
  int64_t rows, channels;
  BatchNormActivation activation;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t channels : {1, 3, 10, 64, 67}) {
      for (const int64_t rows : {2, 21, 300}) {
        for (const auto activation : {kNone, kRelu, kRelu6}) {
          cases.push_back({dtype, rows, channels, activation});
        }
      }
    }
  }
  return cases;
}

// What one implementation makes of a case, all loops, as doubles.
struct Outcome {
  std::vector<double> mean, variance, y, sum_dy, sum_dy_x, dx;
  std::vector<double> residual_y, residual_sum_dy, residual_sum_dy_x, passed;  // with a residual
};

Outcome OutcomeOf(const BatchNormImplementation& implementation, const Case& c) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, c.dtype, {c.rows, c.channels}, 1);
  const Tensor dy = RandomTensor(device, c.dtype, {c.rows, c.channels}, 2);
  const auto coefficient = [&](uint64_t seed) {
    return ToDoubles(RandomTensor(device, DType::kF32, {c.channels}, seed));
  };
  const BatchNormProblem problem = {.dtype = c.dtype,
                                    .rows = static_cast<size_t>(c.rows),
                                    .channels = static_cast<size_t>(c.channels),
                                    .activation = c.activation};
  // Far enough from 0 that there are values above 6.
  BatchNormAffine affine = {.mean = coefficient(3), .scale = coefficient(4), .shift = coefficient(5)};
  for (double& shift : affine.shift) shift = static_cast<float>(4 * shift);
  const BatchNormInputGradient gradient = {.mean_dy = coefficient(6), .slope = coefficient(7)};

  const BatchNormMoments moments = implementation.moments(problem, x.raw());
  const BatchNormSums sums = implementation.sums(problem, x.raw(), dy.raw(), affine);
  Tensor y = Tensor::Zeros(device, c.dtype, x.shape()), dx = Tensor::Zeros(device, c.dtype, x.shape());
  implementation.normalise(problem, x.raw(), nullptr, affine, y.raw());
  implementation.input_gradient(problem, x.raw(), dy.raw(), affine, gradient, dx.raw());

  const Tensor residual = RandomTensor(device, c.dtype, x.shape(), 8);
  Tensor residual_y = y.Clone(), passed = dx.Clone();
  implementation.normalise(problem, x.raw(), residual.raw(), affine, residual_y.raw());
  const BatchNormSums residual_sums =
      implementation.residual_sums(problem, x.raw(), residual_y.raw(), dy.raw(), affine, passed.raw());
  return {.mean = moments.mean,
          .variance = moments.variance,
          .y = ToDoubles(y),
          .sum_dy = sums.dy,
          .sum_dy_x = sums.dy_x,
          .dx = ToDoubles(dx),
          .residual_y = ToDoubles(residual_y),
          .residual_sum_dy = residual_sums.dy,
          .residual_sum_dy_x = residual_sums.dy_x,
          .passed = ToDoubles(passed)};
}

TEST(BatchNormTest, EveryRowAgreesWithTheReference) {
  for (const Case& c : Cases()) {
    const Outcome expected = OutcomeOf(kReferenceBatchNorm, c);
    // Sums of n numbers of size 1, in float: n roundings at the most, of partial sums of size 1 on average.
    const double eps = EpsilonOf(DType::kF32);
    const double n = static_cast<double>(c.rows);
    for (const BatchNormImplementation& row : BatchNormImplementations()) {
      if (!row.supports(c.dtype) || row.name == kReferenceBatchNorm.name) continue;
      ForEachTarget([&](int64_t target) {
        SCOPED_TRACE(testing::Message()
                     << row.name << " " << hwy::TargetName(target) << " " << NameOf(c.dtype) << " [" << c.rows
                     << ", " << c.channels << "] activation " << static_cast<int>(c.activation));
        const Outcome actual = OutcomeOf(row, c);
        // The element-wise loops do the same operations in the same arithmetic.
        EXPECT_EQ(actual.y, expected.y);
        EXPECT_EQ(actual.dx, expected.dx);
        EXPECT_LE(Distance(actual.mean, expected.mean), 4 * eps);
        EXPECT_LE(Distance(actual.variance, expected.variance), 4 * eps);
        EXPECT_LE(Distance(actual.sum_dy, expected.sum_dy), n * eps);
        EXPECT_LE(Distance(actual.sum_dy_x, expected.sum_dy_x), n * eps);
        EXPECT_EQ(actual.residual_y, expected.residual_y);
        EXPECT_EQ(actual.passed, expected.passed);
        EXPECT_LE(Distance(actual.residual_sum_dy, expected.residual_sum_dy), n * eps);
        EXPECT_LE(Distance(actual.residual_sum_dy_x, expected.residual_sum_dy_x), n * eps);
      });
    }
  }
}

TEST(BatchNormTest, SameBitsOnEveryInstructionSetAndAnyNumberOfThreads) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t channels : {3, 64, 512}) {
      const Case c = {
          .dtype = dtype, .rows = 40000 / channels + 5, .channels = channels, .activation = kRelu6};
      const Outcome expected = OutcomeOf(kSimdBatchNorm, c);
      const auto expect_same = [&](const std::string& where) {
        SCOPED_TRACE(testing::Message() << where << ", C = " << channels);
        const Outcome actual = OutcomeOf(kSimdBatchNorm, c);
        EXPECT_EQ(actual.mean, expected.mean);
        EXPECT_EQ(actual.variance, expected.variance);
        EXPECT_EQ(actual.y, expected.y);
        EXPECT_EQ(actual.sum_dy, expected.sum_dy);
        EXPECT_EQ(actual.sum_dy_x, expected.sum_dy_x);
        EXPECT_EQ(actual.dx, expected.dx);
        EXPECT_EQ(actual.residual_y, expected.residual_y);
        EXPECT_EQ(actual.residual_sum_dy, expected.residual_sum_dy);
        EXPECT_EQ(actual.residual_sum_dy_x, expected.residual_sum_dy_x);
        EXPECT_EQ(actual.passed, expected.passed);
      };
      ForEachTarget([&](int64_t target) { expect_same(hwy::TargetName(target)); });
      ForEachThreadCount([&](int threads) { expect_same(std::to_string(threads) + " threads"); });
    }
  }
}

// Far from zero, with one wild row at the beginning, the sum of squares alone would lose everything.
TEST(BatchNormTest, VarianceIsAccurateFarFromZero) {
  Device& device = TestDevice();
  for (const double offset : {0.0, 1e3, -1e5}) {
    const int64_t rows = 5000, channels = 3;
    Tensor x = RandomTensor(device, DType::kF32, {rows, channels}, 1);
    for (float& v : x.span<float>()) v += static_cast<float>(offset);
    for (int64_t c = 0; c < channels; ++c) x.data<float>()[c] += 100;
    const BatchNormProblem problem = {
        .dtype = DType::kF32, .rows = rows, .channels = channels, .activation = kNone};
    const BatchNormMoments expected = kReferenceBatchNorm.moments(problem, x.raw());
    const BatchNormMoments actual = kSimdBatchNorm.moments(problem, x.raw());
    for (int64_t c = 0; c < channels; ++c) {
      EXPECT_NEAR(actual.mean[c], expected.mean[c], 1e-6 * std::sqrt(expected.variance[c])) << offset;
      EXPECT_NEAR(actual.variance[c], expected.variance[c], 1e-6 * expected.variance[c]) << offset;
    }
  }
}

// The same by the functions themselves, on whatever device: in batches that one block of threads sees whole,
// and that many share.
TEST(BatchNormTest, IsAccurateFarFromZero) {
  Device& device = TestDevice();
  for (const auto& [rows, channels] :
       {std::pair<int64_t, int64_t>{70, 3}, {5000, 3}, {900, 40}, {300, 100}}) {
    for (const double offset : {0.0, 1e3, -1e5}) {
      SCOPED_TRACE(testing::Message() << rows << " rows, " << channels << " channels, at " << offset);
      const Shape shape = {rows, channels};
      std::vector<double> values = ToDoubles(RandomTensor(device, DType::kF32, shape, 1));
      for (size_t i = 0; i < values.size(); ++i) values[i] += offset + (i < size_t(channels) ? 100 : 0);
      const auto run = [&](DType dtype) {
        const Tensor x =
            FromDoubles(device, dtype, shape, ToDoubles(FromDoubles(device, DType::kF32, shape, values)));
        const Tensor gamma = FromDoubles(device, dtype, {channels}, std::vector<double>(channels, 1)),
                     beta = Tensor::Zeros(device, dtype, {channels});
        Tensor mean = beta.Clone(), var = beta.Clone();
        const BatchNormResult r = BatchNormForward(x, gamma, beta, mean, var, {.momentum = 1});
        return std::vector<std::vector<double>>{ToDoubles(mean), ToDoubles(var), ToDoubles(r.inv_std)};
      };
      const auto actual = run(DType::kF32), expected = run(DType::kF64);
      for (int64_t c = 0; c < channels; ++c) {
        const double deviation = std::sqrt(expected[1][c]);
        EXPECT_NEAR(actual[0][c], expected[0][c], 1e-6 * deviation + std::abs(offset) * 0x1p-24);
        EXPECT_NEAR(actual[1][c], expected[1][c], 1e-6 * expected[1][c]);
        EXPECT_NEAR(actual[2][c], expected[2][c], 1e-6 * expected[2][c]);
      }
    }
  }
}

TEST(BatchNormTest, ConstantInputHasNoVariance) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF32, {1000, 2}, std::vector<double>(2000, 0.1));
  const Tensor gamma = FromDoubles(device, DType::kF32, {2}, {1, 2}),
               beta = FromDoubles(device, DType::kF32, {2}, {3, 4});
  Tensor mean = Tensor::Zeros(device, DType::kF32, {2}), var = Tensor::Zeros(device, DType::kF32, {2});
  const BatchNormResult result = BatchNormForward(x, gamma, beta, mean, var, {});
  EXPECT_EQ(var.data<float>()[0], 0);
  for (int64_t i = 0; i < x.elements(); ++i) ASSERT_NEAR(result.y.data<float>()[i], 3 + i % 2, 1e-5);
}

TEST(BatchNormTest, RunningStatisticsAreKeptUnlessOneIsNotFinite) {
  Device& device = TestDevice();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t n : {1, 3, 300}) {
      const Tensor mean = RandomTensor(device, dtype, {n}, 1), var = RandomTensor(device, dtype, {n}, 2);
      Tensor running_mean = Tensor::Zeros(device, dtype, {n}),
             running_var = Tensor::Zeros(device, dtype, {n});
      Tensor batches = Tensor::Zeros(device, DType::kI64, {});
      KeepRunningStatistics(mean, var, running_mean, running_var, batches);
      EXPECT_TRUE(SameBits(running_mean, mean) && SameBits(running_var, var));
      EXPECT_EQ(*batches.data<int64_t>(), 1);
      std::vector<double> infinite(n, 1);
      infinite.back() = -INFINITY;
      KeepRunningStatistics(FromDoubles(device, dtype, {n}, infinite), mean, running_mean, running_var,
                            batches);
      KeepRunningStatistics(mean, FromDoubles(device, dtype, {n}, infinite), running_mean, running_var,
                            batches);
      EXPECT_TRUE(SameBits(running_mean, mean) && SameBits(running_var, var));
      EXPECT_EQ(*batches.data<int64_t>(), 1);
    }
  }
}

TEST(BatchNormTest, NanReachesEveryElementOfItsChannelAlone) {
  Device& device = TestDevice();
  Tensor x = RandomTensor(device, DType::kF32, {50, 2}, 1);
  x.data<float>()[7 * 2] = NAN;
  const Tensor ones = FromDoubles(device, DType::kF32, {2}, {1, 1});
  Tensor mean = Tensor::Zeros(device, DType::kF32, {2}), var = ones.Clone();
  const BatchNormResult result = BatchNormForward(x, ones, ones, mean, var, {.activation = kRelu});
  for (int64_t i = 0; i < x.elements(); ++i)
    EXPECT_EQ(std::isnan(result.y.data<float>()[i]), i % 2 == 0) << i;
  EXPECT_TRUE(std::isnan(var.data<float>()[0]));
}

TEST(BatchNormTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  const Shape shape = {2, 3, 2, 3};
  const Tensor x = RandomTensor(device, DType::kF64, shape, 1),
               weights = RandomTensor(device, DType::kF64, shape, 2);
  const Tensor gamma = RandomTensor(device, DType::kF64, {3}, 3),
               beta = RandomTensor(device, DType::kF64, {3}, 4);
  for (const BatchNormActivation activation : {kNone, kRelu, kRelu6}) {
    for (const bool has_residual : {false, true}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(activation) << " residual " << has_residual);
      const BatchNormOptions options = {.activation = activation};
      // Spread over both of ReLU6's kinks.
      const Tensor residual = has_residual ? Scale(RandomTensor(device, DType::kF64, shape, 5), 8) : Tensor();
      const auto forward = [&] {
        Tensor mean = Tensor::Zeros(device, DType::kF64, {3}), var = Tensor::Zeros(device, DType::kF64, {3});
        return BatchNormForward(x, gamma, beta, mean, var, options, residual);
      };
      const auto loss = [&] { return WeightedSum(forward().y, weights); };
      const BatchNormResult saved = forward();
      const BatchNormGradients g = BatchNormBackward(x, gamma, beta, saved.mean, saved.inv_std, weights,
                                                     options, has_residual ? saved.y : Tensor());
      EXPECT_LT(Distance(g.dx, NumericalGradient(loss, x)), 1e-8);
      EXPECT_LT(Distance(g.dgamma, NumericalGradient(loss, gamma)), 1e-8);
      EXPECT_LT(Distance(g.dbeta, NumericalGradient(loss, beta)), 1e-8);
      ASSERT_EQ(g.dresidual.defined(), has_residual);
      if (has_residual) {
        EXPECT_LT(Distance(g.dresidual, NumericalGradient(loss, residual)), 1e-8);
      }
    }
  }
}

TEST(BatchNormTest, InferenceAddsTheResidualAndActivates) {
  Device& device = TestDevice();
  const auto vector = [&](double v) { return FromDoubles(device, DType::kF32, {1}, {v}); };
  const Tensor x = FromDoubles(device, DType::kF32, {5, 1}, {-3, 1, 2, 3, 10});
  const Tensor residual = FromDoubles(device, DType::kF32, {5, 1}, {1, 1, -8, 1, 1});
  const auto run = [&](BatchNormActivation activation) {
    return ToDoubles(BatchNormInference(x, vector(2), vector(-1), vector(1), vector(4),
                                        {.eps = 0, .activation = activation}, residual));
  };
  EXPECT_EQ(run(kNone), (std::vector<double>{-4, 0, -8, 2, 9}));
  EXPECT_EQ(run(kRelu), (std::vector<double>{0, 0, 0, 2, 9}));
  EXPECT_EQ(run(kRelu6), (std::vector<double>{0, 0, 0, 2, 6}));
}

// Where rounding to 16 bits is the only difference.
TEST(BatchNormTest, SixteenBitsAreCloseToDouble) {
  Device& device = TestDevice();
  const Shape shape = {4, 5, 5, 10};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto run = [&](DType type, DType statistics) {
      // Values that every dtype holds.
      const Tensor x = FromDoubles(device, type, shape, ToDoubles(RandomTensor(device, dtype, shape, 1)));
      const Tensor dy = FromDoubles(device, type, shape, ToDoubles(RandomTensor(device, dtype, shape, 2)));
      const auto vector = [&](uint64_t seed) {
        return FromDoubles(device, statistics, {10},
                           ToDoubles(RandomTensor(device, DType::kF32, {10}, seed)));
      };
      const Tensor gamma = vector(3), beta = vector(4);
      Tensor mean = vector(5), var = vector(6);
      const BatchNormResult saved = BatchNormForward(x, gamma, beta, mean, var, {});
      const BatchNormGradients g = BatchNormBackward(x, gamma, beta, saved.mean, saved.inv_std, dy, {});
      return std::vector<std::vector<double>>{ToDoubles(saved.y), ToDoubles(g.dx), ToDoubles(g.dgamma),
                                              ToDoubles(g.dbeta), ToDoubles(mean), ToDoubles(var)};
    };
    const auto actual = run(dtype, DType::kF32), expected = run(DType::kF64, DType::kF64);
    for (size_t i = 0; i < actual.size(); ++i) {
      const double eps = i < 2 ? EpsilonOf(dtype) : EpsilonOf(DType::kF32);
      EXPECT_LE(Distance(actual[i], expected[i]), i < 2 ? eps / 2 + 8 * EpsilonOf(DType::kF32) : 8 * eps)
          << NameOf(dtype) << " " << i;
    }
  }
}

// [N, C, H, W] of the goldens, or [C], as a tensor of ours.
Tensor FromJson(Device& device, DType dtype, const nlohmann::json& j) {
  if (j[0].is_number()) {
    return FromDoubles(device, dtype, {static_cast<int64_t>(j.size())}, j.get<std::vector<double>>());
  }
  const size_t n = j.size(), c = j[0].size(), h = j[0][0].size(), w = j[0][0][0].size();
  std::vector<double> values;
  for (size_t in = 0; in < n; ++in) {
    for (size_t ih = 0; ih < h; ++ih) {
      for (size_t iw = 0; iw < w; ++iw) {
        for (size_t ic = 0; ic < c; ++ic) values.push_back(j[in][ic][ih][iw].get<double>());
      }
    }
  }
  return FromDoubles(device, dtype, {int64_t(n), int64_t(h), int64_t(w), int64_t(c)}, values);
}

// Relative to the largest magnitude of each channel, as these differ by orders of magnitude.
void ExpectNearByChannel(const Tensor& actual, const Tensor& expected, double tolerance) {
  const std::vector<double> a = ToDoubles(actual), b = ToDoubles(expected);
  ASSERT_EQ(a.size(), b.size());
  const size_t channels = actual.shape()[-1];
  for (size_t c = 0; c < channels; ++c) {
    double magnitude = 0;
    for (size_t i = c; i < b.size(); i += channels) magnitude = std::max(magnitude, std::abs(b[i]));
    for (size_t i = c; i < b.size(); i += channels)
      EXPECT_NEAR(a[i], b[i], tolerance * magnitude) << "channel " << c;
  }
}

TEST(BatchNormTest, GoldensOfPyTorch) {
  std::ifstream file("tensor/ops/batch_norm/testdata/batch_norm.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  Device& device = TestDevice();
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-4}}) {
    const auto tensor = [&, dtype = dtype](const nlohmann::json& j) { return FromJson(device, dtype, j); };
    for (const std::string name : {"batch_norm_train", "batch_norm_eval"}) {
      const nlohmann::json& golden = goldens[name];
      const Tensor x = tensor(golden["x"]), gamma = tensor(golden["weight"]), beta = tensor(golden["bias"]);
      Tensor mean = tensor(golden["running_mean_before"]), var = tensor(golden["running_var_before"]);
      const BatchNormOptions options = {.eps = golden["eps"], .momentum = golden["momentum"]};
      SCOPED_TRACE(testing::Message() << name << " " << NameOf(dtype));
      if (name == "batch_norm_eval") {
        ExpectNearByChannel(BatchNormInference(x, gamma, beta, mean, var, options), tensor(golden["output"]),
                            tolerance);
        continue;
      }
      const BatchNormResult saved = BatchNormForward(x, gamma, beta, mean, var, options);
      ExpectNearByChannel(saved.y, tensor(golden["output"]), tolerance);
      ExpectNearByChannel(mean, tensor(golden["running_mean_after"]), tolerance);
      ExpectNearByChannel(var, tensor(golden["running_var_after"]), tolerance);
      const BatchNormGradients g = BatchNormBackward(x, gamma, beta, saved.mean, saved.inv_std,
                                                     tensor(golden["grad_output"]), options);
      ExpectNearByChannel(g.dx, tensor(golden["grad_x"]), tolerance);
      EXPECT_LE(Distance(ToDoubles(g.dgamma), ToDoubles(tensor(golden["grad_weight"]))), tolerance);
      EXPECT_LE(Distance(ToDoubles(g.dbeta), ToDoubles(tensor(golden["grad_bias"]))), tolerance);
    }
  }
}

}  // namespace
}  // namespace halftone::ops
