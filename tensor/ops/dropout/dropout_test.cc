#include "tensor/ops/dropout/dropout.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

constexpr Rng kRng = Rng(7).AtStep(3).Stream(5);

TEST(DropoutTest, MaskIsAFunctionOfTheIndexAlone) {
  Device& device = TestDevice();
  const double p = 0.3;
  for (const DType dtype : kFloatDTypes) {
    const Tensor x = FromDoubles(device, dtype, {20003}, std::vector<double>(20003, 1));
    const Tensor y = DropoutForward(x, p, kRng);
    const double kept = ToDoubles(FromDoubles(device, dtype, {1}, {static_cast<float>(1 / (1 - p))}))[0];
    const std::vector<double> values = ToDoubles(y);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], kRng.Uniform(i) < static_cast<float>(p) ? 0 : kept, 1e-7)
          << NameOf(dtype) << " " << i;
    }
    ForEachThreadCount([&](int) { EXPECT_TRUE(SameBits(DropoutForward(x, p, kRng), y)); });
    EXPECT_TRUE(SameBits(DropoutBackward(x, p, kRng), y));
  }
}

// The number dropped is binomial: within five standard deviations.
TEST(DropoutTest, DropsTheFractionAskedFor) {
  Device& device = TestDevice();
  const int64_t n = 200000;
  const Tensor x = FromDoubles(device, DType::kF32, {n}, std::vector<double>(n, 1));
  for (const double p : {0.1, 0.5, 0.9}) {
    const std::vector<double> y = ToDoubles(DropoutForward(x, p, kRng));
    const double dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0));
    EXPECT_NEAR(dropped, n * p, 5 * std::sqrt(n * p * (1 - p)));
  }
}

TEST(DropoutTest, NothingAndEverything) {
  Device& device = TestDevice();
  const Tensor x = FromDoubles(device, DType::kF16, {2}, {INFINITY, 1});
  EXPECT_EQ(DropoutForward(x, 0, kRng).raw(), x.raw());
  EXPECT_EQ(ToDoubles(DropoutForward(x, 1, kRng)), (std::vector<double>{0, 0}));
}

TEST(DropoutTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF64, {3, 7}, 1),
               weights = RandomTensor(device, DType::kF64, {3, 7}, 2);
  const auto loss = [&] { return WeightedSum(DropoutForward(x, 0.4, kRng), weights); };
  EXPECT_LT(Distance(DropoutBackward(weights, 0.4, kRng), NumericalGradient(loss, x)), 1e-8);
}

}  // namespace
}  // namespace halftone::ops
