#include "tensor/ops/activation/activation.h"

#include <cmath>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/ops/activation/activation_implementations.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

TEST(ActivationTest, FoundByName) {
  for (const Activation& activation : Activations()) EXPECT_EQ(FindActivation(activation.name), &activation);
  EXPECT_EQ(FindActivation("none such"), nullptr);
}

TEST(ActivationTest, EveryRowAgreesWithTheReference) {
  Device device;
  ForEachTarget([&](int64_t target) {
    for (const Activation& activation : Activations()) {
      for (const DType dtype : kFloatDTypes) {
        for (const int64_t n : {1, 3, 10, 64, 67, 1000}) {
          const Tensor x = RandomTensor(device, dtype, {n}, 1), dy = RandomTensor(device, dtype, {n}, 2);
          const auto run = [&](const ActivationImplementation& row) {
            Tensor y = Tensor::Zeros(device, dtype, {n}), dx = Tensor::Zeros(device, dtype, {n});
            row.forward(activation, dtype, x.raw(), y.raw(), n);
            row.backward(activation, dtype, activation.saves_output ? y.raw() : x.raw(), dy.raw(), dx.raw(),
                         n);
            return std::pair(ToDoubles(y), ToDoubles(dx));
          };
          const auto expected = run(ActivationImplementations().back());
          for (const ActivationImplementation& row : ActivationImplementations()) {
            if (!row.supports(activation, dtype)) continue;
            SCOPED_TRACE(testing::Message() << activation.name << " " << row.name << " "
                                            << hwy::TargetName(target) << " " << NameOf(dtype) << " " << n);
            const auto actual = run(row);
            EXPECT_LE(Distance(actual.first, expected.first), EpsilonOf(dtype));
            EXPECT_LE(Distance(actual.second, expected.second), EpsilonOf(dtype));
          }
        }
      }
    }
  });
}

TEST(ActivationTest, SameBitsForAnyNumberOfThreads) {
  Device device;
  for (const Activation& activation : Activations()) {
    const Tensor x = RandomTensor(device, DType::kBF16, {100003}, 1),
                 dy = RandomTensor(device, DType::kBF16, {100003}, 2);
    const Tensor y = ActivationForward(activation, x), dx = ActivationBackward(activation, y, dy);
    ForEachThreadCount([&](int) {
      EXPECT_TRUE(SameBits(ActivationForward(activation, x), y));
      EXPECT_TRUE(SameBits(ActivationBackward(activation, y, dy), dx));
    });
  }
}

TEST(ActivationTest, GradientsAreThoseOfFiniteDifferences) {
  Device device;
  for (const Activation& activation : Activations()) {
    const Tensor x = RandomTensor(device, DType::kF64, {50}, 1),
                 weights = RandomTensor(device, DType::kF64, {50}, 2);
    const auto loss = [&] { return WeightedSum(ActivationForward(activation, x), weights); };
    const Tensor saved = activation.saves_output ? ActivationForward(activation, x) : x;
    EXPECT_LT(Distance(ActivationBackward(activation, saved, weights), NumericalGradient(loss, x)), 1e-8)
        << activation.name;
  }
}

TEST(ActivationTest, ReluAtZeroAndBeyondNumbers) {
  Device device;
  for (const DType dtype : kFloatDTypes) {
    const Tensor x = FromDoubles(device, dtype, {5}, {-1, 0, -0.0, INFINITY, NAN});
    const Tensor dy = FromDoubles(device, dtype, {5}, {INFINITY, 2, 3, 4, 5});
    const Activation& relu = *FindActivation("relu");
    const Tensor y = ActivationForward(relu, x);
    EXPECT_EQ(Distance(ToDoubles(y), {0, 0, 0, INFINITY, NAN}), 0);
    EXPECT_EQ(ToDoubles(ActivationBackward(relu, y, dy)), (std::vector<double>{0, 0, 0, 4, 5}))
        << NameOf(dtype);
  }
}

}  // namespace
}  // namespace halftone::ops
