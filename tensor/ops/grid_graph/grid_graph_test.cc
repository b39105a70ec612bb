#include "tensor/ops/grid_graph/grid_graph.h"

#include <cmath>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/ops/grid_graph/grid_graph_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

// D^-1/2 (A + I) D^-1/2, written as the paper has it.
std::vector<std::vector<double>> Matrix(int rows, int columns) {
  const int n = rows * columns;
  std::vector<std::vector<double>> a(n, std::vector<double>(n));
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      const int apart = std::abs(i / columns - j / columns) + std::abs(i % columns - j % columns);
      a[i][j] = apart <= 1;
    }
  std::vector<double> degree(n);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) degree[i] += a[i][j];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) a[i][j] /= std::sqrt(degree[i] * degree[j]);
  return a;
}

TEST(GridGraphTest, IsTheProductWithTheMatrix) {
  Device& device = TestDevice();
  for (const auto& [rows, columns] : {std::pair(8, 8), {1, 1}, {1, 4}, {3, 2}}) {
    const auto matrix = Matrix(rows, columns);
    const int nodes = rows * columns, features = 5;
    const Tensor x = RandomTensor(device, DType::kF64, {2, rows, columns, features}, 1);
    const Tensor bias = RandomTensor(device, DType::kF64, {features}, 2);
    std::vector<double> expected;
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < nodes; ++i)
        for (int f = 0; f < features; ++f) {
          double sum = bias.data<double>()[f];
          for (int j = 0; j < nodes; ++j) {
            sum += matrix[i][j] * x.data<double>()[(n * nodes + j) * features + f];
          }
          expected.push_back(sum);
        }
    EXPECT_LT(Distance(ToDoubles(GridGraphForward(x, bias)), expected), 1e-14) << rows << " x " << columns;
  }
}

TEST(GridGraphTest, EveryRowHasTheBitsOfTheReference) {
  Device& device = TestDevice();
  ForEachTarget([&](int64_t target) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const int64_t features : {1, 3, 64, 67}) {
        const GridGraphProblem p = {.dtype = dtype, .rows = 3, .columns = 4, .features = features};
        const Tensor x = RandomTensor(device, dtype, {3, 4, features}, 1);
        const Tensor bias = RandomTensor(device, DType::kF32, {features}, 2);
        const auto run = [&](const GridGraphImplementation& row) {
          std::vector<Tensor> outcome;
          for (const void* b : {static_cast<const void*>(bias.raw()), static_cast<const void*>(nullptr)}) {
            outcome.push_back(Tensor::Zeros(device, dtype, x.shape()));
            row.spread(p, x.raw(), b, outcome.back().raw());
          }
          outcome.push_back(bias.Clone());
          row.sum(dtype, x.raw(), 12, features, outcome.back().raw());
          return outcome;
        };
        const std::vector<Tensor> expected = run(GridGraphImplementations().back());
        for (const GridGraphImplementation& row : GridGraphImplementations()) {
          const std::vector<Tensor> actual = run(row);
          for (size_t i = 0; i < actual.size(); ++i) {
            EXPECT_TRUE(SameBits(actual[i], expected[i]))
                << row.name << " " << hwy::TargetName(target) << " " << NameOf(dtype) << " " << features;
          }
        }
      }
    }
  });
}

// On every device; sums of biases may be in another order.
TEST(GridGraphTest, SpreadingHasTheBitsOfTheReference) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    const DType wide = dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    for (const int64_t features : {3, 24}) {
      const GridGraphProblem p = {.dtype = dtype, .rows = 3, .columns = 4, .features = features};
      const Tensor x = RandomTensor(device, dtype, {2, 3, 4, features}, 1);
      const Tensor bias = RandomTensor(device, wide, {features}, 2);
      Tensor y = Tensor::Zeros(device, dtype, x.shape()), dx = y.Clone();
      const size_t bytes = p.Elements() * SizeOf(dtype);
      for (size_t n = 0; n < 2; ++n) {
        const char* from = static_cast<const char*>(x.raw()) + n * bytes;
        GridGraphImplementations().back().spread(p, from, bias.raw(),
                                                 static_cast<char*>(y.raw()) + n * bytes);
        GridGraphImplementations().back().spread(p, from, nullptr, static_cast<char*>(dx.raw()) + n * bytes);
      }
      EXPECT_TRUE(SameBits(GridGraphForward(x, bias), y)) << NameOf(dtype) << features;
      const GridGraphGradients g = GridGraphBackward(x);
      EXPECT_TRUE(SameBits(g.dx, dx)) << NameOf(dtype) << features;
      std::vector<double> sums(features);
      const std::vector<double> values = ToDoubles(x);
      for (size_t i = 0; i < values.size(); ++i) sums[i % features] += values[i];
      EXPECT_EQ(g.dbias.dtype(), wide);
      EXPECT_LT(Distance(ToDoubles(g.dbias), sums), 16 * EpsilonOf(wide));
    }
  }
}

TEST(GridGraphTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF16, {33, 8, 8, 48}, 1);
  const Tensor bias = RandomTensor(device, DType::kF32, {48}, 2);
  const Tensor y = GridGraphForward(x, bias);
  const GridGraphGradients g = GridGraphBackward(x);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(GridGraphForward(x, bias), y));
    const GridGraphGradients again = GridGraphBackward(x);
    EXPECT_TRUE(SameBits(again.dx, g.dx));
    EXPECT_TRUE(SameBits(again.dbias, g.dbias));
  });
}

TEST(GridGraphTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  const Shape shape = {2, 3, 4, 3};
  const Tensor x = RandomTensor(device, DType::kF64, shape, 1);
  const Tensor bias = RandomTensor(device, DType::kF64, {3}, 2);
  const Tensor weights = RandomTensor(device, DType::kF64, shape, 3);
  const auto loss = [&] { return WeightedSum(GridGraphForward(x, bias), weights); };
  const GridGraphGradients g = GridGraphBackward(weights);
  EXPECT_LT(Distance(g.dx, NumericalGradient(loss, x)), 1e-8);
  EXPECT_LT(Distance(g.dbias, NumericalGradient(loss, bias)), 1e-8);
}

}  // namespace
}  // namespace halftone::ops
