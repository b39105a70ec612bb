#include "tensor/ops/mse/mse.h"

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

std::vector<double> Flat(const nlohmann::json& j) {
  if (j.is_number()) return {j.get<double>()};
  std::vector<double> values;
  for (const auto& row : j) values.insert(values.end(), row.begin(), row.end());
  return values;
}

// Element by element, relative to max(1, magnitude).
void ExpectNear(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << i;
  }
}

TEST(MseTest, GoldensOfPyTorch) {
  std::ifstream file("tensor/ops/mse/testdata/mse.json");
  Device& device = TestDevice();
  int cases = 0;
  for (const nlohmann::json& golden : nlohmann::json::parse(file)) {
    SCOPED_TRACE(golden["case"].get<std::string>());
    const std::string name = golden["hyper"]["reduction"];
    const Reduction reduction = name == "mean"  ? Reduction::kMean
                                : name == "sum" ? Reduction::kSum
                                                : Reduction::kNone;
    const int64_t n = static_cast<int64_t>(Flat(golden["input"]).size());
    for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-5}}) {
      const Tensor prediction = FromDoubles(device, dtype, {n}, Flat(golden["input"]));
      const Tensor target = FromDoubles(device, dtype, {n}, Flat(golden["target"]));
      ExpectNear(ToDoubles(MseForward(prediction, target, reduction)), Flat(golden["value"]), tolerance);
      ExpectNear(ToDoubles(MseBackward(prediction, target, 1, reduction)), Flat(golden["grad"]), tolerance);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 3);
}

TEST(MseTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor prediction = RandomTensor(device, DType::kF64, {3, 4}, 1),
               target = RandomTensor(device, DType::kF64, {3, 4}, 2);
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    const auto loss = [&] {
      double sum = 0;
      for (const double l : ToDoubles(MseForward(prediction, target, reduction))) sum += 5 * l;
      return sum;
    };
    EXPECT_LT(Distance(MseBackward(prediction, target, 5, reduction), NumericalGradient(loss, prediction)),
              1e-8);
  }
}

TEST(MseTest, HalfPredictionDoesNotOverflow) {
  Device& device = TestDevice();
  const Tensor prediction = FromDoubles(device, DType::kF16, {2}, {1000, -1000});
  const Tensor target = FromDoubles(device, DType::kF32, {2}, {-1000, -999.5});
  EXPECT_EQ(ToDoubles(MseForward(prediction, target, Reduction::kSum))[0], 4000000.25);
  EXPECT_EQ(ToDoubles(MseBackward(prediction, target, 2, Reduction::kMean)), (std::vector<double>{4000, -1}));
}

TEST(MseTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor prediction = RandomTensor(device, DType::kBF16, {100003}, 1),
               target = RandomTensor(device, DType::kF32, {100003}, 2);
  const Tensor loss = MseForward(prediction, target, Reduction::kMean);
  const Tensor gradient = MseBackward(prediction, target, 1, Reduction::kMean);
  ForEachThreadCount([&](int) {
    EXPECT_TRUE(SameBits(MseForward(prediction, target, Reduction::kMean), loss));
    EXPECT_TRUE(SameBits(MseBackward(prediction, target, 1, Reduction::kMean), gradient));
  });
}

}  // namespace
}  // namespace halftone::ops
