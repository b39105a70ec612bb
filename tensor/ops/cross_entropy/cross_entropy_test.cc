#include "tensor/ops/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensor/ops/cross_entropy/rounded_softmax.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "testing/variations.h"

namespace halftone::ops {
namespace {

Tensor Labels(Device& device, const std::vector<int64_t>& labels) {
  return Tensor::From<int64_t>(device, {static_cast<int64_t>(labels.size())}, labels);
}

double LossOf(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options = {}) {
  const Tensor loss = CrossEntropyForward(logits, labels, options).loss;
  EXPECT_EQ(loss.elements(), 1);
  return ToDoubles(loss)[0];
}

Tensor GradientOf(const Tensor& logits, const Tensor& labels, double seed,
                  const CrossEntropyOptions& options = {}) {
  return CrossEntropyBackward(logits, labels, CrossEntropyForward(logits, labels, options).log_sum_exp, seed,
                              options);
}

// Element by element, relative to max(1, magnitude).
void ExpectNear(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << i;
  }
}

TEST(CrossEntropyTest, GoldensOfPyTorch) {
  std::ifstream file("tensor/ops/cross_entropy/testdata/cross_entropy.json");
  Device& device = TestDevice();
  int cases = 0;
  for (const nlohmann::json& golden : nlohmann::json::parse(file)) {
    SCOPED_TRACE(golden["case"].get<std::string>());
    std::vector<double> input, gradient, value;
    for (const auto& row : golden["input"]) input.insert(input.end(), row.begin(), row.end());
    for (const auto& row : golden["grad"]) gradient.insert(gradient.end(), row.begin(), row.end());
    if (golden["value"].is_array()) {
      value = golden["value"].get<std::vector<double>>();
    } else {
      value = {golden["value"].get<double>()};
    }
    const std::string reduction = golden["hyper"]["reduction"];
    const CrossEntropyOptions options = {.label_smoothing = golden["hyper"]["label_smoothing"],
                                         .reduction = reduction == "mean"  ? Reduction::kMean
                                                      : reduction == "sum" ? Reduction::kSum
                                                                           : Reduction::kNone};
    const Tensor labels = Labels(device, golden["target"].get<std::vector<int64_t>>());
    const int64_t rows = labels.elements();
    for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-12}, {DType::kF32, 1e-5}}) {
      const Tensor logits =
          FromDoubles(device, dtype, {rows, static_cast<int64_t>(input.size()) / rows}, input);
      ExpectNear(ToDoubles(CrossEntropyForward(logits, labels, options).loss), value, tolerance);
      ExpectNear(ToDoubles(GradientOf(logits, labels, 1, options)), gradient, tolerance);
    }
    ++cases;
  }
  EXPECT_GE(cases, 6);
}

TEST(CrossEntropyTest, GradientIsThatOfFiniteDifferences) {
  Device& device = TestDevice();
  const Tensor logits = RandomTensor(device, DType::kF64, {5, 7}, 1),
               labels = Labels(device, {0, 6, 3, 3, 1});
  for (const double smoothing : {0.0, 0.2}) {
    for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
      const CrossEntropyOptions options = {.label_smoothing = smoothing, .reduction = reduction};
      const auto loss = [&] {
        double sum = 0;
        for (const double l : ToDoubles(CrossEntropyForward(logits, labels, options).loss)) sum += 3 * l;
        return sum;
      };
      EXPECT_LT(Distance(GradientOf(logits, labels, 3, options), NumericalGradient(loss, logits)), 1e-8);
    }
  }
}

TEST(CrossEntropyTest, HugeLogitsAndHugeScale) {
  Device& device = TestDevice();
  const Tensor logits = FromDoubles(device, DType::kF16, {2, 3}, {60000, -60000, 0, -60000, -60000, -60000});
  const Tensor labels = Labels(device, {0, 1});
  EXPECT_NEAR(LossOf(logits, labels), std::log(3.0) / 2, 1e-6);
  EXPECT_EQ(LossOf(logits, Labels(device, {1, 1}), {.reduction = Reduction::kSum}), 120000 + std::log(3.0f));
  // 2^16 / 2 * (softmax - target): representable, though 2^16 itself is not in half.
  const std::vector<double> gradient = ToDoubles(GradientOf(logits, labels, 65536));
  ExpectNear(gradient, {0, 0, 0, 32768 / 3.0, -32768 / 1.5, 32768 / 3.0}, 1e-3);
}

TEST(CrossEntropyTest, SixteenBitLogitsAreComputedInFloat) {
  Device& device = TestDevice();
  const Tensor labels = Labels(device, {0, 6, 3, 3, 1});
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor logits = RandomTensor(device, dtype, {5, 7}, 1);
    const Tensor exact = FromDoubles(device, DType::kF64, {5, 7}, ToDoubles(logits));
    EXPECT_EQ(CrossEntropyForward(logits, labels, {}).loss.dtype(), DType::kF32);
    EXPECT_NEAR(LossOf(logits, labels), LossOf(exact, labels), 8 * EpsilonOf(DType::kF32));
    EXPECT_LE(Distance(ToDoubles(GradientOf(logits, labels, 64)), ToDoubles(GradientOf(exact, labels, 64))),
              EpsilonOf(dtype));
  }
}

TEST(CrossEntropyTest, ManyClasses) {
  Device& device = TestDevice();
  const int64_t rows = 3, classes = 1000;
  const std::vector<int64_t> label = {0, 999, 500};
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    Tensor logits = RandomTensor(device, dtype, {rows, classes}, 1);
    const std::vector<double> z = ToDoubles(logits);
    std::vector<double> losses, gradient;
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < classes; ++c) sum += std::exp(z[r * classes + c]);
      losses.push_back(std::log(sum) - z[r * classes + label[r]]);
      for (int64_t c = 0; c < classes; ++c) {
        gradient.push_back(std::exp(z[r * classes + c]) / sum - (c == label[r] ? 1 : 0));
      }
    }
    const Tensor labels = Labels(device, label);
    const CrossEntropyOptions each = {.reduction = Reduction::kNone};
    const double tolerance = 16 * EpsilonOf(dtype);
    ExpectNear(ToDoubles(CrossEntropyForward(logits, labels, each).loss), losses, tolerance);
    ExpectNear(ToDoubles(GradientOf(logits, labels, 1, each)), gradient, tolerance);

    EXPECT_EQ(*CountCorrect(logits, labels).data<int64_t>(), 0);
    VisitFloat(dtype, [&](auto type) {
      using T = decltype(type);
      T* to = logits.data<T>();
      for (const int64_t c : {0, 700}) to[c] = T(10.0f);              // the label is the first of them
      for (const int64_t c : {300, 999}) to[classes + c] = T(10.0f);  // and here the second
      to[2 * classes + 500] = T(10.0f);
    });
    EXPECT_EQ(*CountCorrect(logits, labels).data<int64_t>(), 2);
  }
}

TEST(CrossEntropyTest, SameBitsForAnyNumberOfThreads) {
  Device& device = TestDevice();
  const Tensor logits = RandomTensor(device, DType::kF32, {1000, 100}, 1),
               labels = Labels(device, std::vector<int64_t>(1000, 42));
  const double loss = LossOf(logits, labels);
  const Tensor gradient = GradientOf(logits, labels, 1);
  ForEachThreadCount([&](int) {
    EXPECT_EQ(LossOf(logits, labels), loss);
    EXPECT_TRUE(SameBits(GradientOf(logits, labels, 1), gradient));
  });
}

TEST(CrossEntropyTest, CountsCorrect) {
  Device& device = TestDevice();
  for (const DType dtype : kFloatDTypes) {
    const Tensor logits = FromDoubles(device, dtype, {5, 2}, {1, 2, 2, 1, 3, 3, NAN, 1, 5, NAN});
    EXPECT_EQ(*CountCorrect(logits, Labels(device, {1, 0, 0, 1, 0})).data<int64_t>(), 3);
    EXPECT_EQ(*CountCorrect(logits, Labels(device, {0, 1, 1, 0, 1})).data<int64_t>(), 0);
  }
}

// In float16 8 is e^-8 apart from 0 and the sum is 1; in bfloat16 its sum of 1 + e^-8 too; two steps worked
// by hand.
TEST(RoundedSoftmaxTest, EveryStepIsRounded) {
  std::vector<double> z = {0, 8, 1};
  RoundedSoftmax(kFloat16, z);
  const auto half_of = [](double v) {
    return Decode(kFloat16, Encode(kFloat16, v, Rounding::kNearestEven, Overflow::kInfinity));
  };
  const double e8 = half_of(std::exp(-8.0)), e7 = half_of(std::exp(-7.0));
  const double sum = half_of(half_of(e8 + 1) + e7);
  EXPECT_EQ(z, (std::vector<double>{half_of(e8 / sum), half_of(1 / sum), half_of(e7 / sum)}));
  // 70000 is infinity in float16: no softmax of that.
  std::vector<double> large = {70000, 0};
  RoundedSoftmax(kFloat16, large);
  EXPECT_TRUE(std::isnan(large[0]));
}

TEST(CrossEntropyTest, ASoftmaxOfItsOwnPrecision) {
  Device& device = TestDevice();
  const Tensor z = RandomTensor(device, DType::kF32, {9, 7}, 1);
  Tensor labels = Tensor::Empty(device, DType::kI64, {9});
  for (int64_t i = 0; i < 9; ++i) labels.data<int64_t>()[i] = i % 7;
  for (const double smoothing : {0.0, 0.1}) {
    const CrossEntropyOptions plain = {.label_smoothing = smoothing};
    CrossEntropyOptions rounded = plain;
    rounded.softmax = kBfloat16;
    const CrossEntropyResult exact = CrossEntropyForward(z, labels, plain),
                             actual = CrossEntropyForward(z, labels, rounded);
    const double difference = std::fabs(actual.loss.data<float>()[0] - exact.loss.data<float>()[0]);
    EXPECT_GT(difference, 0);
    EXPECT_LT(difference, 0.03);
    // Each gradient is a bfloat16 number less the target.
    rounded.reduction = Reduction::kSum;
    const Tensor gradient = CrossEntropyBackward(z, labels, actual.log_sum_exp, 1, rounded);
    const Tensor expected = CrossEntropyBackward(z, labels, exact.log_sum_exp, 9, plain);
    EXPECT_LT(Distance(ToDoubles(gradient), ToDoubles(expected)), 0.01);
    for (int64_t i = 0; smoothing == 0 && i < gradient.elements(); ++i) {
      const float p = gradient.data<float>()[i] + (labels.data<int64_t>()[i / 7] == i % 7 ? 1.0f : 0.0f);
      EXPECT_EQ(static_cast<float>(static_cast<bfloat16>(p)), p) << i;
    }
  }
  // A probability that rounds to 0: the loss is 100, not infinity.
  const Tensor far = FromDoubles(device, DType::kF32, {1, 2}, {0, 50});
  const Tensor first = Tensor::Zeros(device, DType::kI64, {1});
  EXPECT_EQ(CrossEntropyForward(far, first, {.softmax = kFloat16}).loss.data<float>()[0], 100);
}

}  // namespace
}  // namespace halftone::ops
