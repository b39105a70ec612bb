#include "tensor/ops/bce/bce.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

using nlohmann::json;

json Goldens(const std::string& name) {
  std::ifstream file("tensor/ops/bce/testdata/" + name);
  return json::parse(file);
}

Reduction ReductionOf(const json& golden) {
  const std::string name = golden["hyper"]["reduction"];
  return name == "mean" ? Reduction::kMean : name == "sum" ? Reduction::kSum : Reduction::kNone;
}

std::vector<double> Flat(const json& j) {
  return j.is_number() ? std::vector<double>{j.get<double>()} : j.get<std::vector<double>>();
}

// Element by element, relative to max(1, magnitude).
void ExpectNear(const Tensor& actual, const json& expected, double tolerance) {
  const std::vector<double> a = ToDoubles(actual), e = Flat(expected);
  ASSERT_EQ(a.size(), e.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], e[i], tolerance * std::max(1.0, std::abs(e[i]))) << i;
  }
}

constexpr std::pair<DType, double> kTolerances[] = {{DType::kF64, 1e-12}, {DType::kF32, 1e-5}};

TEST(BceTest, GoldensOfPyTorchWithLogits) {
  Device& device = TestDevice();
  int cases = 0;
  for (const json& golden : Goldens("bce_with_logits.json")) {
    SCOPED_TRACE(golden["case"].get<std::string>());
    const json& pos_weight = golden["hyper"]["pos_weight"];
    const BceWithLogitsOptions options = {.reduction = ReductionOf(golden),
                                          .pos_weight = pos_weight.is_null() ? 1 : pos_weight.get<double>()};
    const auto n = static_cast<int64_t>(golden["input"].size());
    for (const auto& [dtype, tolerance] : kTolerances) {
      const Tensor logits = FromDoubles(device, dtype, {n}, Flat(golden["input"]));
      const Tensor target = FromDoubles(device, dtype, {n}, Flat(golden["target"]));
      ExpectNear(BceWithLogitsForward(logits, target, options), golden["value"], tolerance);
      ExpectNear(BceWithLogitsBackward(logits, target, 1, options), golden["grad"], tolerance);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 6);  // half of them with a pos_weight
}

TEST(BceTest, GoldensOfPyTorchWithProbabilities) {
  Device& device = TestDevice();
  int cases = 0;
  for (const json& golden : Goldens("bce.json")) {
    SCOPED_TRACE(golden["case"].get<std::string>());
    const auto n = static_cast<int64_t>(golden["input"].size());
    for (const auto& [dtype, tolerance] : kTolerances) {
      const Tensor probabilities = FromDoubles(device, dtype, {n}, Flat(golden["input"]));
      const Tensor target = FromDoubles(device, dtype, {n}, Flat(golden["target"]));
      ExpectNear(BceForward(probabilities, target, ReductionOf(golden)), golden["value"], tolerance);
      ExpectNear(BceBackward(probabilities, target, 1, ReductionOf(golden)), golden["grad"], tolerance);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 3);
}

TEST(BceTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor logits = RandomTensor(device, DType::kF64, {3, 4}, 1);
  const Tensor target = FromDoubles(device, DType::kF64, {3, 4}, {0, 1, 0.3, 1, 0, 0, 1, 1, 0.9, 0, 1, 0.5});
  Tensor probabilities = Tensor::Empty(device, DType::kF64, {3, 4});
  for (int i = 0; i < 12; ++i) {
    probabilities.data<double>()[i] = 1 / (1 + std::exp(-logits.data<double>()[i]));
  }
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    const auto total = [](const Tensor& loss) {
      double sum = 0;
      for (const double l : ToDoubles(loss)) sum += 5 * l;
      return sum;
    };
    const BceWithLogitsOptions options = {.reduction = reduction, .pos_weight = 2.5};
    const auto with_logits = [&] { return total(BceWithLogitsForward(logits, target, options)); };
    EXPECT_LT(
        Distance(BceWithLogitsBackward(logits, target, 5, options), NumericalGradient(with_logits, logits)),
        1e-8);
    const auto plain = [&] { return total(BceForward(probabilities, target, reduction)); };
    EXPECT_LT(Distance(BceBackward(probabilities, target, 5, reduction),
                       NumericalGradient(plain, probabilities, 1e-7)),
              1e-6);
  }
}

TEST(BceTest, SixteenBitLogitsAreComputedInFloat32) {
  Device& device = TestDevice();
  const std::vector<double> x = {60000, -60000, 12, -12, 0};
  const Tensor target = FromDoubles(device, DType::kF32, {5}, {0, 1, 1, 0, 1});
  const Tensor half = FromDoubles(device, DType::kF16, {5}, x);
  const Tensor loss = BceWithLogitsForward(half, target);
  EXPECT_EQ(loss.dtype(), DType::kF32);
  EXPECT_EQ(ToDoubles(loss),
            ToDoubles(BceWithLogitsForward(FromDoubles(device, DType::kF32, {5}, ToDoubles(half)), target)));
  const Tensor gradient = BceWithLogitsBackward(half, target, 5000);
  EXPECT_TRUE(
      SameBits(BceWithLogitsBackward(half, target, FromDoubles(device, DType::kF32, {}, {5000})), gradient));
  EXPECT_EQ(gradient.dtype(), DType::kF16);
  EXPECT_EQ(ToDoubles(gradient)[0], 1000);
  EXPECT_EQ(ToDoubles(gradient)[1], -1000);
}

TEST(BceTest, NanAndInfinityShow) {
  Device& device = TestDevice();
  const Tensor target = FromDoubles(device, DType::kF32, {1}, {1});
  for (const double bad : {std::nan(""), -HUGE_VAL}) {
    const Tensor logits = FromDoubles(device, DType::kF32, {1}, {bad});
    EXPECT_FALSE(std::isfinite(ToDoubles(BceWithLogitsForward(logits, target))[0]));
  }
  const Tensor nan = FromDoubles(device, DType::kF32, {1}, {std::nan("")});
  EXPECT_TRUE(std::isnan(ToDoubles(BceForward(nan, target, Reduction::kMean))[0]));
  EXPECT_TRUE(std::isnan(ToDoubles(BceWithLogitsBackward(nan, target, 1))[0]));
}

TEST(BceTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor logits = RandomTensor(device, DType::kBF16, {100003}, 1);
  Tensor target = RandomTensor(device, DType::kF32, {100003}, 2);
  for (float& t : target.span<float>()) t = t > 0;
  const Tensor loss = BceWithLogitsForward(logits, target);
  const Tensor gradient = BceWithLogitsBackward(logits, target, 3);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(BceWithLogitsForward(logits, target), loss));
    EXPECT_TRUE(SameBits(BceWithLogitsBackward(logits, target, 3), gradient));
  });
}

TEST(BceTest, BinaryLabelsBecomeTargetsAndAreCounted) {
  Device& device = TestDevice();
  const Tensor labels = Tensor::From<int64_t>(device, {4}, std::vector<int64_t>{0, 1, 1, 0});
  EXPECT_EQ(BinaryTargets(labels).shape(), Shape({4, 1}));
  EXPECT_EQ(ToDoubles(BinaryTargets(labels)), (std::vector<double>{0, 1, 1, 0}));
  EXPECT_EQ(ToDoubles(BinaryTargets(labels, 0.5)), (std::vector<double>{0.25, 0.75, 0.75, 0.25}));
  for (const DType dtype : kFloatDTypes) {
    const auto correct = [&](const std::vector<double>& logits) {
      return *CountBinaryCorrect(FromDoubles(device, dtype, {4, 1}, logits), labels).data<int64_t>();
    };
    EXPECT_EQ(correct({-1, 2, 3, -4}), 4);
    EXPECT_EQ(correct({0, 0, 3, 4}), 2);
    EXPECT_EQ(correct({NAN, NAN, INFINITY, -INFINITY}), 2);
  }
}

}  // namespace
}  // namespace halftone::ops
