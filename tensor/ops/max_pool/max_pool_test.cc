#include "tensor/ops/max_pool/max_pool.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensor/ops/max_pool/max_pool_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

struct Case {
  int64_t n, h, w, c;
  MaxPoolOptions options;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const int64_t c : {1, 3, 10, 64, 67}) {
    cases.push_back({2, 4, 6, c, {}});
    cases.push_back({2, 5, 7, c, {}});  // a row and a column are left over
    cases.push_back({1, 9, 7, c, {.window = 3, .stride = 3}});
    cases.push_back({2, 7, 6, c, {.window = 3, .stride = 2, .padding = 1}});
    cases.push_back({1, 5, 5, c, {.window = 3, .stride = 1}});
    cases.push_back({1, 6, 8, c, {.window = 2, .stride = 3}});  // gaps
  }
  cases.push_back({1, 16, 16, 3, {.window = 16, .stride = 16}});
  return cases;
}

MaxPoolProblem Problem(DType dtype, const Case& c) {
  const auto outputs = [&](int64_t size) {
    return (size + 2 * c.options.padding - c.options.window) / c.options.stride + 1;
  };
  return {.dtype = dtype,
          .n = c.n,
          .h = c.h,
          .w = c.w,
          .c = c.c,
          .out_h = outputs(c.h),
          .out_w = outputs(c.w),
          .window = c.options.window,
          .stride = c.options.stride,
          .padding = c.options.padding};
}

// Small integers, of which many are equal, both zeros, infinities and NaNs.
Tensor ValuesWithTies(Device& device, DType dtype, const Shape& shape) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = ToDoubles(RandomTensor(device, DType::kF64, shape, 1));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::round(values[i]);  // -0.4 becomes -0
    if (i % 29 == 0) values[i] = -kInfinity;
    if (i % 31 == 0) values[i] = kInfinity;
    if (i % 37 == 0) values[i] = i % 2 == 0 ? NAN : -NAN;
  }
  return FromDoubles(device, dtype, shape, values);
}

struct Outcome {
  Tensor y, index, dx;
};

Outcome OutcomeOf(Device& device, const MaxPoolImplementation& implementation, const MaxPoolProblem& p) {
  const Tensor x = ValuesWithTies(device, p.dtype, {p.n, p.h, p.w, p.c});
  const Shape out = {p.n, p.out_h, p.out_w, p.c};
  const Tensor dy = RandomTensor(device, p.dtype, out, 2);
  Outcome o = {.y = Tensor::Zeros(device, p.dtype, out),
               .index = Tensor::Zeros(device, DType::kU8, out),
               .dx = RandomTensor(device, p.dtype, x.shape(), 3)};  // to be overwritten
  implementation.forward(p, x.raw(), o.y.raw(), o.index.data<uint8_t>());
  implementation.backward(p, dy.raw(), o.index.data<uint8_t>(), o.dx.raw());
  return o;
}

TEST(MaxPoolTest, EveryRowHasTheBitsOfTheReference) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    for (const Case& c : Cases()) {
      const MaxPoolProblem problem = Problem(dtype, c);
      const Outcome expected = OutcomeOf(device, kReferenceMaxPool, problem);
      for (const MaxPoolImplementation& row : MaxPoolImplementations()) {
        if (!row.supports(problem)) continue;
        ForEachTarget([&](int64_t target) {
          SCOPED_TRACE(testing::Message()
                       << row.name << " " << hwy::TargetName(target) << " " << NameOf(dtype) << " H " << c.h
                       << " W " << c.w << " C " << c.c << " window " << c.options.window);
          const Outcome actual = OutcomeOf(device, row, problem);
          EXPECT_TRUE(SameBits(actual.y, expected.y));
          EXPECT_TRUE(SameBits(actual.index, expected.index));
          EXPECT_TRUE(SameBits(actual.dx, expected.dx));
        });
      }
    }
  }
}

// The same by the functions themselves, on whatever device.
TEST(MaxPoolTest, HasTheBitsOfTheReferenceOnEveryDevice) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    for (const Case& c : Cases()) {
      SCOPED_TRACE(testing::Message() << NameOf(dtype) << " H " << c.h << " W " << c.w << " C " << c.c
                                      << " window " << c.options.window << " stride " << c.options.stride);
      const MaxPoolProblem problem = Problem(dtype, c);
      const Outcome expected = OutcomeOf(device, kReferenceMaxPool, problem);
      const Tensor x = ValuesWithTies(device, dtype, {c.n, c.h, c.w, c.c});
      const MaxPoolResult actual = MaxPoolForward(x, c.options);
      EXPECT_TRUE(SameBits(actual.y, expected.y));
      EXPECT_TRUE(SameBits(actual.index, expected.index));
      const Tensor dy = RandomTensor(device, dtype, actual.y.shape(), 2);
      EXPECT_TRUE(SameBits(MaxPoolBackward(dy, actual.index, x.shape(), c.options), expected.dx));
    }
  }
}

// Large enough that there is work for each thread.
TEST(MaxPoolTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  for (const MaxPoolOptions& options : {MaxPoolOptions{}, {.window = 3, .stride = 2, .padding = 1}}) {
    const MaxPoolProblem problem =
        Problem(DType::kF16, {.n = 5, .h = 33, .w = 17, .c = 67, .options = options});
    const Outcome expected = OutcomeOf(device, kReferenceMaxPool, problem);
    for (const MaxPoolImplementation& row : MaxPoolImplementations()) {
      if (!row.supports(problem)) continue;
      ForEachThreadCount([&](int threads) {
        SCOPED_TRACE(testing::Message() << row.name << " " << threads << " threads");
        const Outcome actual = OutcomeOf(device, row, problem);
        EXPECT_TRUE(SameBits(actual.y, expected.y));
        EXPECT_TRUE(SameBits(actual.index, expected.index));
        EXPECT_TRUE(SameBits(actual.dx, expected.dx));
      });
    }
  }
}

TEST(MaxPoolTest, TiesGoToTheFirstAndNansWin) {
  Device& device = TestDevice();
  const auto index = [&](const std::vector<double>& window) {
    std::vector<int> result;
    for (const DType dtype : kFloatDTypes) {
      const MaxPoolResult r = MaxPoolForward(FromDoubles(device, dtype, {1, 2, 2, 1}, window), {});
      result.push_back(r.index.data<uint8_t>()[0]);
    }
    return result;
  };
  const auto all = [](int i) { return std::vector<int>(4, i); };
  EXPECT_EQ(index({1, 2, 2, 1}), all(1));
  EXPECT_EQ(index({3, 3, 3, 3}), all(0));
  EXPECT_EQ(index({-0.0, 0.0, 0.0, -1}), all(0));
  EXPECT_EQ(index({-2, -1, -3, -1}), all(1));
  EXPECT_EQ(index({-INFINITY, -INFINITY, -INFINITY, -INFINITY}), all(0));
  EXPECT_EQ(index({1, NAN, INFINITY, 0}), all(1));
  EXPECT_EQ(index({1, NAN, -NAN, 5}), all(2));
}

TEST(MaxPoolTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  for (const MaxPoolOptions& options : {MaxPoolOptions{}, {.window = 3, .stride = 2, .padding = 1}}) {
    const Tensor x = RandomTensor(device, DType::kF64, {2, 5, 6, 3}, 1);
    const MaxPoolResult saved = MaxPoolForward(x, options);
    const Tensor weights = RandomTensor(device, DType::kF64, saved.y.shape(), 2);
    const auto loss = [&] { return WeightedSum(MaxPoolForward(x, options).y, weights); };
    const Tensor dx = MaxPoolBackward(weights, saved.index, x.shape(), options);
    EXPECT_LT(Distance(dx, NumericalGradient(loss, x)), 1e-8);
  }
}

TEST(MaxPoolTest, GoldenOfPyTorch) {
  std::ifstream file("tensor/ops/max_pool/testdata/max_pool.json");
  const nlohmann::json golden = nlohmann::json::parse(file)["max_pool2_ties"];
  // [N, C, H, W] there.
  const auto values = [](const nlohmann::json& j) {
    std::vector<double> result;
    const size_t n = j.size(), c = j[0].size(), h = j[0][0].size(), w = j[0][0][0].size();
    for (size_t i = 0; i < n * h * w * c; ++i) {
      result.push_back(j[i / (h * w * c)][i % c][i / (w * c) % h][i / c % w].get<double>());
    }
    return result;
  };
  const auto shape = [](const nlohmann::json& j) {
    return Shape{int64_t(j.size()), int64_t(j[0][0].size()), int64_t(j[0][0][0].size()),
                 int64_t(j[0].size())};
  };
  Device& device = TestDevice();
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-4}}) {
    const auto tensor = [&, dtype = dtype](const nlohmann::json& j) {
      return FromDoubles(device, dtype, shape(j), values(j));
    };
    const Tensor x = tensor(golden["x"]);
    const MaxPoolResult result = MaxPoolForward(x, {});
    EXPECT_LE(Distance(ToDoubles(result.y), values(golden["output"])), tolerance);
    const Tensor dx = MaxPoolBackward(tensor(golden["grad_output"]), result.index, x.shape(), {});
    EXPECT_LE(Distance(ToDoubles(dx), values(golden["grad_x"])), tolerance);
  }
}

}  // namespace
}  // namespace halftone::ops
