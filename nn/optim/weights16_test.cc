// Optimisers on weights of 16 bits: as working copies of float32 ones, and alone.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "fp16/bfloat16.h"
#include "fp16/codec.h"
#include "fp16/half.h"
#include "gtest/gtest.h"
#include "nn/optim/adam.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/sgd.h"
#include "testing/variations.h"

namespace halftone {
namespace {

using Codes = std::vector<uint16_t>;

Codes Encoded(const FloatFormat& format, const std::vector<float>& values) {
  Codes codes(values.size());
  EncodeAll(format, values, Rounding::kNearestEven, Overflow::kInfinity, absl::MakeSpan(codes));
  return codes;
}

std::vector<float> Decoded(const FloatFormat& format, const Codes& codes) {
  std::vector<float> values(codes.size());
  DecodeAll(format, codes, absl::MakeSpan(values));
  return values;
}

TEST(Weights16Test, WorkingCopiesAreTheRoundedMasters) {
  constexpr size_t kSize = 10'001;
  for (const FloatFormat& format : {kFloat16, kBfloat16}) {
    std::vector<float> with(kSize), without(kSize), grad(kSize);
    for (size_t i = 0; i < kSize; ++i) {
      with[i] = without[i] = 1e-3f * static_cast<float>(i) - 3;
      grad[i] = std::sin(static_cast<float>(i));
    }
    Codes copies(kSize);
    const auto a = MakeAdam({}).value(), b = MakeAdam({}).value();
    for (int step = 0; step < 3; ++step) {
      a->Step({{"w", absl::MakeSpan(with), grad, {format, absl::MakeSpan(copies)}}}, {.learning_rate = 0.01});
      b->Step({{"w", absl::MakeSpan(without), grad}}, {.learning_rate = 0.01});
    }
    EXPECT_EQ(with, without);
    EXPECT_EQ(copies, Encoded(format, with));
  }
}

// A weight of 1 takes 1,000 updates of a tenth of the distance to the next smaller number.
float AfterTinyUpdates(const FloatFormat& format, WeightRounding rounding, size_t weights) {
  const auto optimizer = MakeSgd({}).value();
  optimizer->RoundWeights16(rounding, Rng(7));
  Codes codes = Encoded(format, std::vector<float>(weights, 1.0f));
  const float update = static_cast<float>(format.epsilon()) / 20;
  const std::vector<float> grad(weights, update);
  for (int step = 0; step < 1'000; ++step) {
    optimizer->Step({{"w", {}, grad, {format, absl::MakeSpan(codes)}}}, {.learning_rate = 1});
  }
  double sum = 0;
  for (const float w : Decoded(format, codes)) sum += w;
  return static_cast<float>((1 - sum / static_cast<double>(weights)) / (1'000 * update));
}

TEST(Weights16Test, TinyUpdatesAreNotLost) {
  for (const FloatFormat& format : {kFloat16, kBfloat16}) {
    EXPECT_EQ(AfterTinyUpdates(format, WeightRounding::kNearest, 16), 0);
    // Within the last update's rounding, of up to ten updates.
    EXPECT_NEAR(AfterTinyUpdates(format, WeightRounding::kKahan, 16), 1, 0.015);
    // Each update goes through by a whole distance, with a tenth of chance: 4,096,000 trials have a deviation
    // of 0.3 * sqrt(4096000) / 409600 = 0.0015.
    EXPECT_NEAR(AfterTinyUpdates(format, WeightRounding::kStochastic, 4096), 1, 0.0075);
  }
}

TEST(Weights16Test, TheSameBitsForAnyNumberOfThreadsAndAfterResuming) {
  constexpr size_t kSize = 100'003;
  std::vector<float> start(kSize), grad(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    start[i] = std::cos(static_cast<float>(i));
    grad[i] = 1e-3f * std::sin(static_cast<float>(i));
  }
  for (const WeightRounding rounding :
       {WeightRounding::kNearest, WeightRounding::kStochastic, WeightRounding::kKahan}) {
    Codes first;
    ForEachThreadCount([&](int threads) {
      Codes codes = Encoded(kBfloat16, start);
      const std::vector<ParamRef> params = {{"w", {}, grad, {kBfloat16, absl::MakeSpan(codes)}}};
      auto optimizer = MakeSgd({.momentum = 0.9}).value();
      optimizer->RoundWeights16(rounding, Rng(3));
      for (int step = 0; step < 4; ++step) {
        optimizer->Step(params, {.learning_rate = 0.1});
        if (step != threads) continue;
        auto resumed = MakeSgd({.momentum = 0.9}).value();
        resumed->RoundWeights16(rounding, Rng(3));
        const absl::Status status = resumed->Restore(params, optimizer->State());
        ASSERT_TRUE(status.ok()) << status;
        optimizer = std::move(resumed);
      }
      if (first.empty()) first = codes;
      EXPECT_TRUE(codes == first) << threads;
    });
  }
}

TEST(Weights16Test, AnotherRoundingsStateIsRefused) {
  Codes codes = Encoded(kFloat16, {1, 2});
  const std::vector<float> grad = {1, 1};
  const std::vector<ParamRef> params = {{"w", {}, grad, {kFloat16, absl::MakeSpan(codes)}}};
  const auto nearest = MakeSgd({}).value(), kahan = MakeSgd({}).value(), other = MakeSgd({}).value();
  kahan->RoundWeights16(WeightRounding::kKahan, Rng(1));
  other->RoundWeights16(WeightRounding::kKahan, Rng(1));
  nearest->Step(params, {.learning_rate = 0.1});
  kahan->Step(params, {.learning_rate = 0.1});
  EXPECT_EQ(other->Restore(params, nearest->State()).message(),
            "optimizer state: tensor kahan/w is missing after 1 steps of " + other->Describe());
  const auto plain = MakeSgd({}).value();
  EXPECT_NE(plain->Restore(params, kahan->State()).message().find("tensor kahan/w is not expected"),
            std::string::npos);
}

TEST(Weights16Test, BeyondTheLargestNumberIsInfinity) {
  Codes codes = Encoded(kFloat16, {65504, 1});
  const std::vector<float> grad = {-1000, -1};
  const auto optimizer = MakeSgd({}).value();
  optimizer->RoundWeights16(WeightRounding::kKahan, Rng(1));
  optimizer->Step({{"w", {}, grad, {kFloat16, absl::MakeSpan(codes)}}}, {.learning_rate = 1});
  EXPECT_EQ(Decoded(kFloat16, codes), (std::vector<float>{std::numeric_limits<float>::infinity(), 2}));
}

}  // namespace
}  // namespace halftone
