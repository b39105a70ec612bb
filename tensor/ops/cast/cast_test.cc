#include "tensor/ops/cast/cast.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "testing/device.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(CastTest, EveryPairRoundsOnce) {
  Device& device = TestDevice();
  for (const DType from : kFloatDTypes) {
    for (const DType to : kFloatDTypes) {
      for (const int64_t n : {0, 1, 67, 40001}) {
        const Tensor x = RandomTensor(device, from, {n}, 1);
        ForEachThreadCount([&](int) {
          EXPECT_TRUE(SameBits(Cast(x, to), FromDoubles(device, to, {n}, ToDoubles(x))))
              << NameOf(from) << NameOf(to);
        });
      }
    }
  }
}

// 1 + 2^-11 + 2^-40 lies above the middle of two halves; by way of float it would lie on it and round down.
TEST(CastTest, DoubleIsNotRoundedTwice) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF64, {1}, {1 + 0x1p-11 + 0x1p-40});
  EXPECT_EQ(ToDoubles(Cast(x, DType::kF16))[0], 1 + 0x1p-10);
}

TEST(CastTest, SameDTypeIsTheSameTensor) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF16, {3}, 1);
  EXPECT_EQ(Cast(x, DType::kF16).raw(), x.raw());
}

TEST(CastTest, TooLargeBecomesInfinityAndNanStays) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF32, {4}, {65519, 65520, -1e30, NAN});
  EXPECT_EQ(Distance(ToDoubles(Cast(x, DType::kF16)), {65504, INFINITY, -INFINITY, NAN}), 0);
}

}  // namespace
}  // namespace halftone::ops
