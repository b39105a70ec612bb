#include "tensor/ops/elementwise/elementwise.h"

#include <limits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/ops/elementwise/elementwise_implementations.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(ElementwiseTest, EveryRowHasTheBitsOfTheReference) {
  Device& device = TestDevice();
  ForEachTarget([&](int64_t target) {
    for (const DType dtype : kFloatDTypes) {
      for (const int64_t n : {1, 3, 10, 64, 67, 1000}) {
        Tensor a = RandomTensor(device, dtype, {n}, 1), b = RandomTensor(device, dtype, {n}, 2);
        // Subnormal sums of half, and an overflow.
        VisitFloat(dtype, [&](auto type) {
          using T = decltype(type);
          a.data<T>()[n / 2] = T(3e-7);
          a.data<T>()[n - 1] = T(65504.0);
          b.data<T>()[n - 1] = T(60000.0);
        });
        const auto run = [&](const ElementwiseImplementation& row) {
          Tensor sum = Tensor::Zeros(device, dtype, {n}), scaled = sum.Clone();
          row.add(dtype, a.raw(), b.raw(), sum.raw(), n);
          row.scale(dtype, a.raw(), 0.3, scaled.raw(), n);
          return std::pair(sum, scaled);
        };
        const auto expected = run(ElementwiseImplementations().back());
        for (const ElementwiseImplementation& row : ElementwiseImplementations()) {
          if (!row.supports(dtype)) continue;
          const auto actual = run(row);
          EXPECT_TRUE(SameBits(actual.first, expected.first))
              << row.name << hwy::TargetName(target) << NameOf(dtype);
          EXPECT_TRUE(SameBits(actual.second, expected.second))
              << row.name << hwy::TargetName(target) << NameOf(dtype);
        }
      }
    }
  });
}

TEST(ElementwiseTest, AddsAndScales) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    Tensor a = FromDoubles(device, dtype, {3}, {1, 2, -3});
    const Tensor b = FromDoubles(device, dtype, {3}, {0.5, -2, 8});
    EXPECT_EQ(ToDoubles(Add(a, b)), (std::vector<double>{1.5, 0, 5}));
    EXPECT_EQ(ToDoubles(Scale(a, -2)), (std::vector<double>{-2, -4, 6}));
    AddInPlace(a, b);
    EXPECT_EQ(ToDoubles(a), (std::vector<double>{1.5, 0, 5}));
  }
}

TEST(ElementwiseTest, ReadsOneElementAndFindsWhatIsNotFinite) {
  Device& device = TestDevice();
  const double infinity = std::numeric_limits<double>::infinity(),
               nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType dtype : kFloatDTypes) {
    EXPECT_EQ(Item(FromDoubles(device, dtype, {1, 1}, {-1.5})), -1.5);
    EXPECT_TRUE(AllFinite(FromDoubles(device, dtype, {3}, {0, -2, 65504})));
    for (const double bad : {infinity, -infinity, nan}) {
      EXPECT_FALSE(AllFinite(FromDoubles(device, dtype, {3}, {0, -2, bad})));
    }
  }
}

TEST(ElementwiseTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor a = RandomTensor(device, DType::kF16, {100003}, 1),
               b = RandomTensor(device, DType::kF16, {100003}, 2);
  const Tensor sum = Add(a, b), scaled = Scale(a, 0.7);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(Add(a, b), sum));
    EXPECT_TRUE(SameBits(Scale(a, 0.7), scaled));
  });
}

}  // namespace
}  // namespace halftone::ops
