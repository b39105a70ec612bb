#include "tensor/ops/transpose/transpose.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "testing/device.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(TransposeTest, MovesEveryValue) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    for (const auto& [m, n] : {std::pair(1, 1), {1, 7}, {33, 5}, {32, 64}, {65, 31}, {70, 100}}) {
      const Tensor x = RandomTensor(device, dtype, {2, 3, m, n}, 1);
      ForEachThreadCount([&, m = m, n = n](int) {
        const Tensor y = Transpose(x);
        ASSERT_EQ(y.shape(), Shape({2, 3, n, m}));
        const std::vector<double> from = ToDoubles(x), to = ToDoubles(y);
        for (int64_t b = 0; b < 6; ++b) {
          for (int64_t i = 0; i < m; ++i) {
            for (int64_t j = 0; j < n; ++j) ASSERT_EQ(to[(b * n + j) * m + i], from[(b * m + i) * n + j]);
          }
        }
        EXPECT_TRUE(SameBits(Transpose(y), x));
      });
    }
  }
}

TEST(TransposeTest, OfNothingIsNothing) {
  Device& device = TestDevice();
  EXPECT_EQ(Transpose(Tensor::Empty(device, DType::kF32, {0, 3, 4})).shape(), Shape({0, 4, 3}));
  EXPECT_EQ(Transpose(Tensor::Empty(device, DType::kF32, {3, 0})).shape(), Shape({0, 3}));
}

}  // namespace
}  // namespace halftone::ops
