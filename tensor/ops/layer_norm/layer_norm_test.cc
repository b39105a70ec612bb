#include "tensor/ops/layer_norm/layer_norm.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensor/ops/layer_norm/layer_norm_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

struct Case {
  DType dtype;
  int64_t rows, n;
};

// What one implementation makes of a case, as doubles.
struct Outcome {
  std::vector<double> y, mean, inv_std, dx, dgamma, dbeta;
};

// The backward pass takes the statistics of the reference, so that every array is compared by itself.
Outcome OutcomeOf(const LayerNormImplementation& implementation, const Case& c) {
  Device& device = TestDevice();
  const LayerNormProblem problem = {
      .dtype = c.dtype, .rows = static_cast<size_t>(c.rows), .n = static_cast<size_t>(c.n)};
  const Tensor x = RandomTensor(device, c.dtype, {c.rows, c.n}, 1);
  const Tensor dy = RandomTensor(device, c.dtype, {c.rows, c.n}, 2);
  const Tensor gamma = RandomTensor(device, DType::kF32, {c.n}, 3);
  const Tensor beta = RandomTensor(device, DType::kF32, {c.n}, 4);
  const auto zeros = [&](DType dtype, const Shape& shape) { return Tensor::Zeros(device, dtype, shape); };
  Tensor y = zeros(c.dtype, x.shape()), mean = zeros(DType::kF32, {c.rows, 2}),
         inv_std = zeros(DType::kF32, {c.rows}), saved_mean = mean.Clone(), saved_inv_std = inv_std.Clone();
  const auto forward = [&](const LayerNormImplementation& row, Tensor& to_mean, Tensor& to_inv_std) {
    row.forward(problem, 1e-5,
                {.x = x.raw(),
                 .gamma = gamma.raw(),
                 .beta = beta.raw(),
                 .y = y.raw(),
                 .mean = to_mean.raw(),
                 .inv_std = to_inv_std.raw()});
  };
  forward(kReferenceLayerNorm, saved_mean, saved_inv_std);
  forward(implementation, mean, inv_std);
  Tensor dx = zeros(c.dtype, x.shape()), dgamma = zeros(DType::kF32, {c.n}),
         dbeta = zeros(DType::kF32, {c.n});
  implementation.backward(problem, {.x = x.raw(),
                                    .gamma = gamma.raw(),
                                    .mean = saved_mean.raw(),
                                    .inv_std = saved_inv_std.raw(),
                                    .dy = dy.raw(),
                                    .dx = dx.raw(),
                                    .dgamma = dgamma.raw(),
                                    .dbeta = dbeta.raw()});
  std::vector<double> means;  // both parts together
  for (int64_t r = 0; r < c.rows; ++r) {
    means.push_back(static_cast<double>(mean.data<float>()[2 * r]) + mean.data<float>()[2 * r + 1]);
  }
  return {.y = ToDoubles(y),
          .mean = means,
          .inv_std = ToDoubles(inv_std),
          .dx = ToDoubles(dx),
          .dgamma = ToDoubles(dgamma),
          .dbeta = ToDoubles(dbeta)};
}

TEST(LayerNormTest, EveryRowAgreesWithTheReference) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t n : {1, 3, 16, 31, 32, 33, 67, 192}) {
      for (const int64_t rows : {1, 5, 150}) {
        const Case c = {dtype, rows, n};
        const Outcome expected = OutcomeOf(kReferenceLayerNorm, c);
        const double eps = EpsilonOf(DType::kF32);
        // The largest numbers may be rounded to the other side, where they are next to the middle.
        const double stored = dtype == DType::kF32 ? 0 : EpsilonOf(dtype);
        for (const LayerNormImplementation& row : LayerNormImplementations()) {
          if (!row.supports(dtype) || row.name == kReferenceLayerNorm.name) continue;
          ForEachTarget([&](int64_t target) {
            SCOPED_TRACE(testing::Message() << row.name << " " << hwy::TargetName(target) << " "
                                            << NameOf(dtype) << " [" << rows << ", " << n << "]");
            const Outcome actual = OutcomeOf(row, c);
            EXPECT_LE(Distance(actual.mean, expected.mean), eps);
            EXPECT_LE(Distance(actual.inv_std, expected.inv_std), 4 * eps);
            EXPECT_LE(Distance(actual.y, expected.y), stored + 8 * eps);
            EXPECT_LE(Distance(actual.dx, expected.dx), stored + 8 * eps);
            // Float sums over the rows of a block.
            EXPECT_LE(Distance(actual.dgamma, expected.dgamma), rows * eps);
            EXPECT_LE(Distance(actual.dbeta, expected.dbeta), rows * eps);
          });
        }
      }
    }
  }
}

TEST(LayerNormTest, SameBitsOnEveryInstructionSetAndAnyNumberOfThreads) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t n : {7, 64, 1000}) {
      const Case c = {.dtype = dtype, .rows = 40000 / n + 5, .n = n};
      const Outcome expected = OutcomeOf(kSimdLayerNorm, c);
      const auto expect_same = [&](const std::string& where) {
        SCOPED_TRACE(testing::Message() << where << ", n = " << n);
        const Outcome actual = OutcomeOf(kSimdLayerNorm, c);
        EXPECT_EQ(actual.mean, expected.mean);
        EXPECT_EQ(actual.inv_std, expected.inv_std);
        EXPECT_EQ(actual.y, expected.y);
        EXPECT_EQ(actual.dx, expected.dx);
        EXPECT_EQ(actual.dgamma, expected.dgamma);
        EXPECT_EQ(actual.dbeta, expected.dbeta);
      };
      ForEachTarget([&](int64_t target) { expect_same(hwy::TargetName(target)); });
      ForEachThreadCount([&](int threads) { expect_same(std::to_string(threads) + " threads"); });
    }
  }
}

// The layer in float and in double, of the same values: x = offset + deviation * (standard normal numbers).
struct Pair {
  std::vector<std::vector<double>> actual, expected;  // y, dx, dgamma, dbeta
};

Pair RunInBoth(DType dtype, const Shape& shape, double offset, double deviation, double eps) {
  Device& device = TestDevice();
  std::vector<double> values = ToDoubles(RandomTensor(device, DType::kF64, shape, 1));
  for (double& v : values) v = offset + deviation * v;
  values = ToDoubles(FromDoubles(device, dtype, shape, values));
  const auto run = [&](DType type, DType statistics) {
    const Tensor x = FromDoubles(device, type, shape, values);
    const Tensor dy = FromDoubles(device, type, shape, ToDoubles(RandomTensor(device, dtype, shape, 2)));
    const auto vector = [&](uint64_t seed) {
      const Tensor v = RandomTensor(device, DType::kF32, {shape[-1]}, seed);
      return FromDoubles(device, statistics, {shape[-1]}, ToDoubles(v));
    };
    const Tensor gamma = vector(3);
    const LayerNormResult saved = LayerNormForward(x, gamma, vector(4), {.eps = eps});
    const LayerNormGradients g = LayerNormBackward(x, gamma, saved.mean, saved.inv_std, dy);
    return std::vector<std::vector<double>>{ToDoubles(saved.y), ToDoubles(g.dx), ToDoubles(g.dgamma),
                                            ToDoubles(g.dbeta)};
  };
  return {run(dtype, DType::kF32), run(DType::kF64, DType::kF64)};
}

// Far from zero the mean as one float would be off by as much as the numbers differ among themselves; near
// zero their squares are far below eps, or it is far below them.
TEST(LayerNormTest, IsAccurateFarFromZeroAndForTinyVariances) {
  for (const double offset : {0.0, 1e3, -1e5, 1e7}) {
    for (const double deviation : {1e-6, 1e-2, 1.0, 1e4}) {
      if (std::abs(offset) * EpsilonOf(DType::kF32) > deviation) continue;  // all numbers are the same
      for (const double eps : {1e-5, 1e-12}) {
        SCOPED_TRACE(testing::Message() << offset << " +- " << deviation << ", eps " << eps);
        const Pair pair = RunInBoth(DType::kF32, {6, 200}, offset, deviation, eps);
        for (size_t i = 0; i < pair.actual.size(); ++i) {
          const double largest = *std::max_element(pair.expected[i].begin(), pair.expected[i].end());
          // Relative to the largest, also where that is below 1.
          EXPECT_LE(Distance(pair.actual[i], pair.expected[i]), 1e-6 * std::min(1.0, largest)) << i;
        }
      }
    }
  }
}

// Rows that are long, and of lengths that are a multiple of nothing.
TEST(LayerNormTest, RowsOfAnyLength) {
  for (const int64_t n : {1, 7, 1001, 1024, 1032, 3000}) {
    const Pair pair = RunInBoth(DType::kF32, {2, n}, -1, 2, 1e-5);
    for (size_t i = 0; i < pair.actual.size(); ++i)
      EXPECT_LE(Distance(pair.actual[i], pair.expected[i]), 2e-6) << n;
  }
}

// Where rounding to 16 bits is the only difference.
TEST(LayerNormTest, SixteenBitsAreCloseToDouble) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Pair pair = RunInBoth(dtype, {4, 5, 40}, 0.5, 2, 1e-5);
    for (size_t i = 0; i < pair.actual.size(); ++i) {
      const double eps = EpsilonOf(DType::kF32);
      EXPECT_LE(Distance(pair.actual[i], pair.expected[i]), i < 2 ? EpsilonOf(dtype) / 2 + 8 * eps : 8 * eps)
          << NameOf(dtype) << " " << i;
    }
  }
}

// Kept in float32 the normalised numbers give the gradients that x gives; in 16 bits, those of a normalised
// input that is rounded.
TEST(LayerNormTest, GradientsFromTheNormalisedNumbers) {
  Device& device = TestDevice();
  const Shape shape = {40, 70};
  const Tensor x = RandomTensor(device, DType::kF32, shape, 1),
               dy = RandomTensor(device, DType::kF32, shape, 2);
  const Tensor gamma = RandomTensor(device, DType::kF32, {70}, 3),
               beta = RandomTensor(device, DType::kF32, {70}, 4);
  for (const DType keep : {DType::kF32, DType::kF16, DType::kBF16}) {
    const LayerNormResult saved = LayerNormForward(x, gamma, beta, {.keep = keep});
    ASSERT_EQ(saved.normalised.dtype(), keep);
    const LayerNormGradients from_x = LayerNormBackward(x, gamma, saved.mean, saved.inv_std, dy);
    ForEachTarget([&](int64_t target) {
      SCOPED_TRACE(testing::Message() << NameOf(keep) << " " << hwy::TargetName(target));
      const LayerNormGradients actual = LayerNormBackward(saved.normalised, gamma, saved.inv_std, dy);
      const double eps = keep == DType::kF32 ? 0 : EpsilonOf(keep);
      EXPECT_LE(Distance(ToDoubles(actual.dx), ToDoubles(from_x.dx)), eps);
      EXPECT_LE(Distance(ToDoubles(actual.dgamma), ToDoubles(from_x.dgamma)), eps);
      EXPECT_EQ(ToDoubles(actual.dbeta), ToDoubles(from_x.dbeta));
    });
    // Against the definition, from the same kept numbers.
    const LayerNormGradients actual = LayerNormBackward(saved.normalised, gamma, saved.inv_std, dy);
    Tensor dx = Tensor::Empty(device, DType::kF32, shape), dgamma = gamma.Clone(), dbeta = gamma.Clone();
    kReferenceLayerNorm.backward({.dtype = DType::kF32, .rows = 40, .n = 70, .keep = keep},
                                 {.gamma = gamma.raw(),
                                  .inv_std = saved.inv_std.raw(),
                                  .dy = dy.raw(),
                                  .dx = dx.raw(),
                                  .dgamma = dgamma.raw(),
                                  .dbeta = dbeta.raw(),
                                  .normalised = saved.normalised.raw()});
    EXPECT_LE(Distance(ToDoubles(actual.dx), ToDoubles(dx)), 8 * EpsilonOf(DType::kF32));
    EXPECT_LE(Distance(ToDoubles(actual.dgamma), ToDoubles(dgamma)), 40 * EpsilonOf(DType::kF32));
  }
}

TEST(LayerNormTest, ConstantRowsGiveBeta) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF32, {2, 50}, std::vector<double>(100, 0.1));
  const Tensor gamma = RandomTensor(device, DType::kF32, {50}, 1),
               beta = RandomTensor(device, DType::kF32, {50}, 2);
  const LayerNormResult result = LayerNormForward(x, gamma, beta, {.eps = 1e-12});
  EXPECT_FLOAT_EQ(result.inv_std.data<float>()[1], 1e6f);
  for (int64_t i = 0; i < x.elements(); ++i) {
    // (x - mean) is zero, or what the two floats of the mean do not hold of it, a million times over.
    ASSERT_NEAR(result.y.data<float>()[i], beta.data<float>()[i % 50], 1e-6);
  }
}

TEST(LayerNormTest, NanStaysInItsRow) {
  Device& device = TestDevice();
  Tensor x = RandomTensor(device, DType::kF32, {3, 40}, 1);
  x.data<float>()[40 + 7] = NAN;
  const Tensor ones = FromDoubles(device, DType::kF32, {40}, std::vector<double>(40, 1));
  const LayerNormResult result = LayerNormForward(x, ones, ones, {});
  for (int64_t i = 0; i < x.elements(); ++i) {
    EXPECT_EQ(std::isnan(result.y.data<float>()[i]), i / 40 == 1) << i;
  }
}

TEST(LayerNormTest, NoRowsGiveNoOutputAndNoGradient) {
  Device& device = TestDevice();
  const Tensor x = Tensor::Empty(device, DType::kF32, {0, 3});
  const Tensor ones = Tensor::From<float>(device, {3}, {{1, 1, 1}});
  const LayerNormResult result = LayerNormForward(x, ones, ones, {});
  EXPECT_TRUE(result.y.shape() == x.shape());
  const LayerNormGradients g = LayerNormBackward(x, ones, result.mean, result.inv_std, x);
  EXPECT_EQ(ToDoubles(g.dgamma), std::vector<double>(3));
  EXPECT_EQ(ToDoubles(g.dbeta), std::vector<double>(3));
}

TEST(LayerNormTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  const Shape shape = {2, 3, 5};
  const Tensor x = RandomTensor(device, DType::kF64, shape, 1),
               weights = RandomTensor(device, DType::kF64, shape, 2);
  const Tensor gamma = RandomTensor(device, DType::kF64, {5}, 3),
               beta = RandomTensor(device, DType::kF64, {5}, 4);
  const auto loss = [&] { return WeightedSum(LayerNormForward(x, gamma, beta, {}).y, weights); };
  const LayerNormResult saved = LayerNormForward(x, gamma, beta, {});
  const LayerNormGradients g = LayerNormBackward(x, gamma, saved.mean, saved.inv_std, weights);
  EXPECT_LT(Distance(g.dx, NumericalGradient(loss, x)), 1e-8);
  EXPECT_LT(Distance(g.dgamma, NumericalGradient(loss, gamma)), 1e-8);
  EXPECT_LT(Distance(g.dbeta, NumericalGradient(loss, beta)), 1e-8);
}

Tensor FromJson(Device& device, DType dtype, const nlohmann::json& j) {
  if (j[0].is_number()) {
    return FromDoubles(device, dtype, {static_cast<int64_t>(j.size())}, j.get<std::vector<double>>());
  }
  std::vector<double> values;
  for (const auto& row : j) {
    for (const double v : row) values.push_back(v);
  }
  const Shape shape = {static_cast<int64_t>(j.size()), static_cast<int64_t>(j[0].size())};
  return FromDoubles(device, dtype, shape, values);
}

// Relative to the largest magnitude of each row, as these differ by orders of magnitude.
void ExpectNearByRow(const Tensor& actual, const Tensor& expected, double tolerance) {
  const std::vector<double> a = ToDoubles(actual), b = ToDoubles(expected);
  ASSERT_EQ(a.size(), b.size());
  const size_t n = actual.shape()[-1];
  for (size_t row = 0; row < b.size(); row += n) {
    double magnitude = 0;
    for (size_t i = row; i < row + n; ++i) magnitude = std::max(magnitude, std::abs(b[i]));
    for (size_t i = row; i < row + n; ++i) {
      EXPECT_NEAR(a[i], b[i], tolerance * magnitude) << "row " << row / n;
    }
  }
}

// Rows of deviations from 1e-4 to 30, and each eps in use: another one would show.
TEST(LayerNormTest, GoldensOfPyTorch) {
  std::ifstream file("tensor/ops/layer_norm/testdata/layer_norm.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  ASSERT_EQ(goldens.size(), 3);
  Device& device = TestDevice();
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 2e-6}}) {
    for (const auto& [name, golden] : goldens.items()) {
      SCOPED_TRACE(testing::Message() << name << " " << NameOf(dtype));
      const auto tensor = [&, dtype = dtype, &golden = golden](const char* key) {
        return FromJson(device, dtype, golden[key]);
      };
      const Tensor x = tensor("x"), gamma = tensor("weight");
      const LayerNormResult saved = LayerNormForward(x, gamma, tensor("bias"), {.eps = golden["eps"]});
      ExpectNearByRow(saved.y, tensor("output"), tolerance);
      const LayerNormGradients g =
          LayerNormBackward(x, gamma, saved.mean, saved.inv_std, tensor("grad_output"));
      ExpectNearByRow(g.dx, tensor("grad_x"), tolerance);
      EXPECT_LE(Distance(ToDoubles(g.dgamma), ToDoubles(tensor("grad_weight"))), tolerance);
      EXPECT_LE(Distance(ToDoubles(g.dbeta), ToDoubles(tensor("grad_bias"))), tolerance);
    }
  }
}

}  // namespace
}  // namespace halftone::ops
