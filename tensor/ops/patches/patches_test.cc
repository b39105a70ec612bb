#include "tensor/ops/patches/patches.h"

#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(PatchesTest, FeaturesAreInTheOrderChannelRowColumn) {
  Device& device = TestDevice();
  // Two channels: the pixel's number, and 100 more.
  std::vector<double> values;
  for (int pixel = 0; pixel < 8; ++pixel) values.insert(values.end(), {1.0 * pixel, 100.0 + pixel});
  for (const DType dtype : kFloatDTypes) {
    const Tensor x = FromDoubles(device, dtype, {1, 2, 4, 2}, values);
    const Tensor y = PatchesForward(x, 2);
    EXPECT_EQ(y.shape(), Shape({1, 1, 2, 8}));
    EXPECT_EQ(ToDoubles(y), (std::vector<double>{0, 1, 4, 5, 100, 101, 104, 105,  //
                                                 2, 3, 6, 7, 102, 103, 106, 107}));
    EXPECT_TRUE(SameBits(PatchesBackward(y, 2, 2), x));
  }
}

TEST(PatchesTest, AgreesWithTheDefinition) {
  Device& device = TestDevice();
  const int64_t n = 3, rows = 4, columns = 2, channels = 5, size = 3;
  const Tensor x = RandomTensor(device, DType::kF32, {n, rows * size, columns * size, channels}, 1);
  const Tensor y = PatchesForward(x, size);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t h = 0; h < rows * size; ++h)
      for (int64_t w = 0; w < columns * size; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t patch = (i * rows + h / size) * columns + w / size;
          const int64_t feature = (c * size + h % size) * size + w % size;
          const int64_t pixel = (i * rows * size + h) * columns * size + w;
          ASSERT_EQ(y.data<float>()[patch * channels * size * size + feature],
                    x.data<float>()[pixel * channels + c]);
        }
}

TEST(PatchesTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF64, {2, 4, 6, 3}, 1);
  const Tensor weights = RandomTensor(device, DType::kF64, {2, 2, 3, 12}, 2);
  const auto loss = [&] { return WeightedSum(PatchesForward(x, 2), weights); };
  EXPECT_LT(Distance(PatchesBackward(weights, 2, 3), NumericalGradient(loss, x)), 1e-8);
}

TEST(PatchesTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kBF16, {33, 8, 8, 3}, 1);
  const Tensor y = PatchesForward(x, 4);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(PatchesForward(x, 4), y));
    EXPECT_TRUE(SameBits(PatchesBackward(y, 4, 3), x));
  });
}

TEST(PatchesDeathTest, TheSizeMustDivide) {
  Device device;
  EXPECT_DEATH(PatchesForward(Tensor::Zeros(device, DType::kF32, {1, 6, 8, 3}), 4), "check failed");
}

}  // namespace
}  // namespace halftone::ops
