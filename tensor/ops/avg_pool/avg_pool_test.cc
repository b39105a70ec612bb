#include "tensor/ops/avg_pool/avg_pool.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/ops/avg_pool/avg_pool_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(AvgPoolTest, EveryRowHasTheBitsOfTheReference) {
  Device& device = TestDevice();
  ForEachTarget([&](int64_t target) {
    for (const DType dtype : kFloatDTypes) {
      for (const int64_t c : {1, 3, 10, 64, 67}) {
        for (const auto& [out_h, out_w] : {std::pair{1, 1}, {2, 3}, {5, 7}, {7, 8}}) {
          const AvgPoolProblem p = {
              .dtype = dtype, .n = 2, .h = 5, .w = 7, .c = c, .out_h = out_h, .out_w = out_w};
          const Shape in = {p.n, p.h, p.w, c}, out = {p.n, out_h, out_w, c};
          const Tensor x = RandomTensor(device, dtype, in, 1), dy = RandomTensor(device, dtype, out, 2);
          const auto run = [&](const AvgPoolImplementation& row) {
            Tensor y = Tensor::Zeros(device, dtype, out), dx = Tensor::Zeros(device, dtype, in);
            for (int64_t r = 0; r < p.n * p.out_h; ++r) row.forward(p, r, x.raw(), y.raw());
            for (int64_t r = 0; r < p.n * p.h; ++r) row.backward(p, r, dy.raw(), dx.raw());
            return std::pair(y, dx);
          };
          const auto expected = run(AvgPoolImplementations().back());
          for (const AvgPoolImplementation& row : AvgPoolImplementations()) {
            if (!row.supports(dtype)) continue;
            SCOPED_TRACE(testing::Message() << row.name << " " << hwy::TargetName(target) << " "
                                            << NameOf(dtype) << " C " << c << " to " << out.ToString());
            const auto actual = run(row);
            EXPECT_TRUE(SameBits(actual.first, expected.first));
            EXPECT_TRUE(SameBits(actual.second, expected.second));
          }
        }
      }
    }
  });
}

// The same by the functions themselves, on whatever device.
TEST(AvgPoolTest, HasTheBitsOfTheReferenceOnEveryDevice) {
  Device& device = TestDevice();
  const AvgPoolImplementation& reference = AvgPoolImplementations().back();
  for (const DType dtype : kFloatDTypes) {
    for (const int64_t c : {1, 10, 64, 67}) {
      for (const auto& [out_h, out_w] : {std::pair{1, 1}, {2, 3}, {5, 7}, {7, 8}}) {
        SCOPED_TRACE(testing::Message() << NameOf(dtype) << " C " << c << " to " << out_h << " x " << out_w);
        const AvgPoolProblem p = {
            .dtype = dtype, .n = 2, .h = 5, .w = 7, .c = c, .out_h = out_h, .out_w = out_w};
        const Tensor x = RandomTensor(device, dtype, {p.n, p.h, p.w, c}, 1);
        Tensor y = Tensor::Empty(device, dtype, {p.n, out_h, out_w, c}), dx = x.Clone();
        for (int64_t r = 0; r < p.n * p.out_h; ++r) reference.forward(p, r, x.raw(), y.raw());
        for (int64_t r = 0; r < p.n * p.h; ++r) reference.backward(p, r, y.raw(), dx.raw());
        EXPECT_TRUE(SameBits(AdaptiveAvgPoolForward(x, out_h, out_w), y));
        EXPECT_TRUE(SameBits(AdaptiveAvgPoolBackward(y, x.shape()), dx));
      }
    }
  }
}

TEST(AvgPoolTest, WindowsAreThoseOfPyTorch) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF32, {1, 1, 5, 1}, {1, 2, 3, 4, 5});
  EXPECT_EQ(ToDoubles(AdaptiveAvgPoolForward(x)), (std::vector<double>{3}));
  EXPECT_EQ(ToDoubles(AdaptiveAvgPoolForward(x, 1, 3)), (std::vector<double>{1.5, 3, 4.5}));
  EXPECT_EQ(ToDoubles(AdaptiveAvgPoolForward(x, 1, 5)), ToDoubles(x));
}

TEST(AvgPoolTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF16, {9, 8, 8, 67}, 1);
  const Tensor y = AdaptiveAvgPoolForward(x, 3, 2), dx = AdaptiveAvgPoolBackward(y, x.shape());
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(AdaptiveAvgPoolForward(x, 3, 2), y));
    EXPECT_TRUE(SameBits(AdaptiveAvgPoolBackward(y, x.shape()), dx));
  });
}

TEST(AvgPoolTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  for (const auto& [out_h, out_w] : {std::pair{1, 1}, {2, 3}, {5, 2}}) {
    const Tensor x = RandomTensor(device, DType::kF64, {2, 5, 4, 3}, 1);
    const Tensor weights = RandomTensor(device, DType::kF64, {2, out_h, out_w, 3}, 2);
    const auto loss = [&, h = out_h, w = out_w] {
      return WeightedSum(AdaptiveAvgPoolForward(x, h, w), weights);
    };
    EXPECT_LT(Distance(AdaptiveAvgPoolBackward(weights, x.shape()), NumericalGradient(loss, x)), 1e-8);
  }
}

}  // namespace
}  // namespace halftone::ops
