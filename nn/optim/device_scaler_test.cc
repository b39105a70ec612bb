#include "nn/optim/device_scaler.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "nn/optim/parameters.h"
#include "scaler/grad_scaler.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// More arrays than one launch takes; sums over several blocks and launches' parts.
std::vector<int64_t> Sizes() {
  std::vector<int64_t> sizes = {1, 15, 16, 17, 4095, 4097, 70001};
  while (sizes.size() < 180) sizes.push_back(static_cast<int64_t>(sizes.size()) % 5 + 1);
  return sizes;
}

class DeviceScalerTest : public testing::Test {
 protected:
  DeviceScalerTest() {
    for (const int64_t n : Sizes()) {
      owned_.push_back(std::make_unique<Parameter>(Shape({n}), Init::Constant(0)));
      owned_.back()->Initialize(device_, Rng(1), "p" + std::to_string(owned_.size()));
      parameters_.push_back(owned_.back().get());
    }
  }

  // Of which some are zeros, and one is not finite if it is asked for.
  std::vector<std::vector<float>> GiveGradients(uint64_t seed, bool bad) {
    std::vector<std::vector<float>> copies;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      Parameter& p = *parameters_[i];
      Tensor gradient = RandomTensor(device_, DType::kF32, p.shape(), seed * 1000 + i);
      float* const g = gradient.data<float>();
      for (int64_t k = 0; k < p.shape().elements(); k += 3) g[k] = k % 2 == 0 ? 0.0f : -0.0f;
      if (bad && i == parameters_.size() / 2) g[0] = seed % 2 == 0 ? kInfinity : -NAN;
      copies.emplace_back(g, g + p.shape().elements());
      p.ClearGradient();
      p.AccumulateGradient(std::move(gradient));
    }
    return copies;
  }

  Device& device_ = TestDevice();
  std::vector<std::unique_ptr<Parameter>> owned_;
  std::vector<Parameter*> parameters_;
};

TEST_F(DeviceScalerTest, NumbersAreThoseOfGradScaler) {
  const LossScale loss_scale = LossScale::Create({.initial = 1000}).value();
  for (const UnscaleOptions& given : {UnscaleOptions{}, UnscaleOptions{.micro_batches = 3, .max_norm = 0.01},
                                      UnscaleOptions{.max_norm = 1e9}, UnscaleOptions{.max_value = 1e-3f}}) {
    for (const bool bad : {false, true}) {
      GradScaler expected(loss_scale);
      DeviceScaler scaler(device_, loss_scale);
      UnscaleOptions options = given;
      options.zeros = Tensor::Empty(device_, DType::kI64, {static_cast<int64_t>(parameters_.size())});
      std::vector<std::vector<float>> copies = GiveGradients(7, bad);
      std::vector<absl::Span<float>> spans;
      for (std::vector<float>& copy : copies) spans.push_back(absl::MakeSpan(copy));

      ASSERT_TRUE(scaler.Unscale(parameters_, options).ok());
      for (int64_t i = 0; i < options.micro_batches; ++i) ASSERT_TRUE(expected.BeginMicroBatch(0).ok());
      std::vector<int64_t> zeros(spans.size());
      const GradStats stats = expected.Unscale(0, spans, absl::MakeSpan(zeros)).value();
      float factor = 1;
      if (options.max_value > 0) {
        ASSERT_TRUE(expected.ClipByValue(0, spans, options.max_value).ok());
      } else {
        factor = expected.ClipFactor(0, options.max_norm).value();
      }
      scaler.Update();

      const ScalerReport report = scaler.State();
      EXPECT_EQ(report.grads.finite, !bad);
      if (!bad) {
        EXPECT_EQ(report.grads.norm, stats.norm);
      }
      EXPECT_EQ(report.clip_factor, factor);
      EXPECT_EQ(*scaler.known().gradient_factor.data<float>(), factor);
      EXPECT_EQ(*scaler.known().found_inf.data<int32_t>(), bad);
      EXPECT_EQ(report.update, expected.Update().value());
      EXPECT_EQ(report.loss_scale, expected.loss_scale().state());
      EXPECT_EQ(*scaler.scale().data<float>(), expected.scale());
      EXPECT_EQ(options.zeros.span<int64_t>(), absl::MakeConstSpan(zeros));
      for (size_t i = 0; i < spans.size(); ++i) {
        const Tensor& gradient = parameters_[i]->gradient();
        for (size_t k = 0; k < spans[i].size(); ++k) {
          const float a = gradient.data<float>()[k], e = spans[i][k];
          ASSERT_TRUE(a == e || (std::isnan(a) && std::isnan(e))) << i << " " << k << ": " << a << ", " << e;
        }
      }
    }
  }
}

TEST_F(DeviceScalerTest, TheScaleTakesTheSameWayThroughRandomOverflows) {
  const LossScaleOptions kOptions[] = {
      {.initial = 64, .growth_interval = 3, .min_scale = 1, .max_scale = 128},
      {.initial = 8, .growth_factor = 1.1, .backoff_factor = 0.3, .growth_interval = 2, .hysteresis = 3},
      {.initial = 4, .growth_interval = 5, .floor_policy = FloorPolicy::kError, .floor_patience = 2},
      {.initial = 16, .dynamic = false},
      {.enabled = false, .floor_policy = FloorPolicy::kError, .floor_patience = 3},
  };
  Parameter p(Shape({3}), Init::Constant(0));
  p.Initialize(device_, Rng(1), "p");
  Parameter* const one[] = {&p};
  for (uint64_t row = 0; row < std::size(kOptions); ++row) {
    LossScale expected = LossScale::Create(kOptions[row]).value();
    DeviceScaler scaler(device_, expected);
    const Rng rng = Rng(row);
    std::vector<Tensor> snapshots;
    std::vector<ScaleUpdate> updates;
    std::vector<LossScaleState> states;
    for (uint64_t step = 0; step < 60; ++step) {
      const bool bad = rng.Uniform(step) < (step < 30 ? 0.25f : 0.6f);
      p.ClearGradient();
      p.AccumulateGradient(FromDoubles(device_, DType::kF32, {3}, {1, bad ? kInfinity : 0, -1}));
      ASSERT_TRUE(scaler.Unscale(one, {}).ok());
      scaler.Update();
      snapshots.push_back(scaler.Snapshot());
      updates.push_back(expected.Update(!bad));
      states.push_back(expected.state());
      if (step == 20) {
        ASSERT_TRUE(scaler.Restore(expected.state()).ok());
      }
    }
    for (size_t step = 0; step < snapshots.size(); ++step) {
      const ScalerReport report = DeviceScaler::Read(snapshots[step]);
      EXPECT_EQ(report.update, updates[step]) << row << " " << step;
      EXPECT_EQ(report.loss_scale, states[step]) << row << " " << step;
    }
  }
}

TEST_F(DeviceScalerTest, NoGradientAtAllIsAnErrorAndOneThatIsMissingIsZero) {
  DeviceScaler scaler(device_, LossScale::Create({}).value());
  EXPECT_EQ(scaler.Unscale(parameters_, {}).code(), absl::StatusCode::kFailedPrecondition);
  parameters_[1]->AccumulateGradient(FromDoubles(device_, DType::kF32, {15}, std::vector<double>(15, 65536)));
  ASSERT_TRUE(scaler.Unscale(parameters_, {}).ok());
  EXPECT_EQ(ToDoubles(parameters_[0]->gradient()), std::vector<double>{0});
  EXPECT_EQ(ToDoubles(parameters_[1]->gradient()), std::vector<double>(15, 1));
}

TEST_F(DeviceScalerTest, AnImpossibleStateIsRefused) {
  DeviceScaler scaler(device_, LossScale::Create({.initial = 4}).value());
  LossScaleState state = scaler.State().loss_scale;
  state.scale = 0;
  EXPECT_FALSE(scaler.Restore(state).ok());
  EXPECT_EQ(scaler.State().loss_scale.scale, 4);
}

}  // namespace
}  // namespace halftone::nn
