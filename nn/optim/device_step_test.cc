// Steps in a device's memory have the bits of steps in the host's, but for NaNs that arithmetic makes.
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nn/optim/adam.h"
#include "nn/optim/adam_rule.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/parameters.h"
#include "nn/optim/sgd.h"
#include "tensor/ops/cast/cast.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

using Make = std::unique_ptr<Optimizer> (*)();

constexpr Make kMakers[] = {
    [] { return MakeSgd({.weight_decay = 5e-4}).value(); },
    [] { return MakeSgd({.momentum = 0.9, .dampening = 0.1, .weight_decay = 5e-4}).value(); },
    [] { return MakeSgd({.momentum = 0.9, .nesterov = true}).value(); },
    [] { return MakeAdam({.weight_decay = 0.01}).value(); },
    [] { return MakeAdamW({.beta2 = 0.99, .weight_decay = 0.05}).value(); },
};

// One set of parameters on a device, and their optimiser.
struct Training {
  std::vector<std::unique_ptr<Parameter>> owned;
  std::vector<Parameter*> parameters;
  std::unique_ptr<Optimizer> optimizer;

  Training(Device& device, Make make, const std::vector<int64_t>& sizes, std::optional<DType> weights16,
           WeightRounding rounding)
      : optimizer(make()) {
    optimizer->RoundWeights16(rounding, Rng(5));
    for (size_t i = 0; i < sizes.size(); ++i) {
      owned.push_back(std::make_unique<Parameter>(Shape({sizes[i]}), Init::Normal(1)));
      Parameter& p = *owned.back();
      p.Initialize(device, Rng(1), "layer" + std::to_string(i));
      p.set_decays(i % 3 != 0);
      if (weights16.has_value()) p.SetMaster(ops::Cast(p.master(), *weights16));
      if (!weights16.has_value() && i % 2 == 0) p.Working(i % 4 == 0 ? DType::kF16 : DType::kBF16);
      parameters.push_back(&p);
    }
  }

  void Step(int step, const DeviceStep& known, float factor) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      Parameter& p = *parameters[i];
      p.ClearGradient();
      p.AccumulateGradient(
          RandomTensor(p.master().device(), DType::kF32, p.shape(), 1000 * static_cast<uint64_t>(step) + i));
    }
    StepOptions options = {.learning_rate = 0.1 / (step + 1), .gradient_factor = factor};
    if (step >= 2) options.momentum = 0.8;
    nn::Step(*optimizer, parameters, options, known);
  }
};

void ExpectSame(const Training& actual, const Training& expected) {
  EXPECT_EQ(actual.optimizer->steps(), expected.optimizer->steps());
  for (size_t i = 0; i < actual.parameters.size(); ++i) {
    Parameter &a = *actual.parameters[i], &e = *expected.parameters[i];
    EXPECT_TRUE(SameBits(a.master(), e.master())) << i;
    ASSERT_EQ(a.mutable_working16() != nullptr, e.mutable_working16() != nullptr);
    if (Tensor* working = a.mutable_working16()) {
      EXPECT_TRUE(SameBits(*working, *e.mutable_working16())) << i;
    }
  }
  const OptimizerState a = actual.optimizer->State(), e = expected.optimizer->State();
  ASSERT_EQ(a.tensors.size(), e.tensors.size());
  for (size_t k = 0; k < a.tensors.size(); ++k) {
    EXPECT_EQ(a.tensors[k].name, e.tensors[k].name);
    EXPECT_TRUE(a.tensors[k].value == e.tensors[k].value) << a.tensors[k].name;
  }
}

// More arrays than one launch takes, of sizes around a thread's share and a block's.
std::vector<int64_t> ManySizes() {
  std::vector<int64_t> sizes = {1, 3, 4, 5, 1023, 4095, 4096, 4097, 9001};
  while (sizes.size() < 70) sizes.push_back(static_cast<int64_t>(sizes.size()) % 7 + 1);
  return sizes;
}

Tensor Scalar(Device& device, float value) { return Tensor::From<float>(device, {}, {value}); }
Tensor Flag(Device& device, int32_t value) { return Tensor::From<int32_t>(device, {}, {value}); }

TEST(DeviceStepTest, SameBitsAsOnTheHost) {
  Device cpu(nullptr);
  for (const Make make : kMakers) {
    Training on_device(TestDevice(), make, ManySizes(), std::nullopt, WeightRounding::kNearest);
    Training on_host(cpu, make, ManySizes(), std::nullopt, WeightRounding::kNearest);
    for (int step = 0; step < 4; ++step) {
      // A skipped step in between, and a factor from the device.
      on_device.Step(
          step, {.gradient_factor = Scalar(TestDevice(), 0.3f), .found_inf = Flag(TestDevice(), step == 1)},
          0.5f);
      if (step != 1) on_host.Step(step, {}, 0.5f * 0.3f);
      ExpectSame(on_device, on_host);
    }
  }
}

TEST(DeviceStepTest, SameBitsOfWeightsThatAreSixteenBitsAlone) {
  Device cpu(nullptr);
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    for (const WeightRounding rounding :
         {WeightRounding::kNearest, WeightRounding::kStochastic, WeightRounding::kKahan}) {
      for (const Make make : {kMakers[1], kMakers[4]}) {
        const std::vector<int64_t> sizes = {1, 7, 4096, 5003};
        Training on_device(TestDevice(), make, sizes, dtype, rounding);
        Training on_host(cpu, make, sizes, dtype, rounding);
        for (int step = 0; step < 4; ++step) {
          on_device.Step(step, {.found_inf = Flag(TestDevice(), step == 2 ? 3 : 0)}, 1);
          if (step != 2) on_host.Step(step, {}, 1);
        }
        ExpectSame(on_device, on_host);
      }
    }
  }
}

TEST(DeviceStepTest, BeyondTheLargestNumberIsInfinity) {
  Training training(TestDevice(), kMakers[0], {2}, DType::kF16, WeightRounding::kKahan);
  Parameter& p = *training.parameters[0];
  p.SetMaster(FromDoubles(TestDevice(), DType::kF16, {2}, {65504, 1}));
  p.AccumulateGradient(FromDoubles(TestDevice(), DType::kF32, {2}, {-1000, -1}));
  Step(*training.optimizer, training.parameters, {.learning_rate = 1});
  EXPECT_EQ(ToDoubles(p.master()), (std::vector<double>{std::numeric_limits<double>::infinity(), 2}));
  EXPECT_EQ(training.optimizer->State().tensors[0].value, (std::vector<float>{0, 0}));
}

TEST(DeviceStepTest, ResumingOnAnotherDeviceChangesNoBit) {
  Device cpu(nullptr);
  for (const WeightRounding rounding : {WeightRounding::kNearest, WeightRounding::kKahan}) {
    const std::vector<int64_t> sizes = {5, 4100};
    Training whole(cpu, kMakers[3], sizes, DType::kBF16, rounding);
    Training first(cpu, kMakers[3], sizes, DType::kBF16, rounding);
    Training second(TestDevice(), kMakers[3], sizes, DType::kBF16, rounding);
    for (int step = 0; step < 4; ++step) whole.Step(step, {}, 1);
    for (int step = 0; step < 2; ++step) first.Step(step, {}, 1);
    const absl::Status status =
        second.optimizer->Restore(ParamRefs(second.parameters), first.optimizer->State());
    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < sizes.size(); ++i) {
      second.parameters[i]->SetMaster(first.parameters[i]->master().To(TestDevice()));
    }
    for (int step = 2; step < 4; ++step) second.Step(step, {}, 1);
    ExpectSame(second, whole);
  }
}

TEST(DeviceStepTest, CodebooksStayInOrder) {
  Parameter p(Shape({5}), Init::Constant(0));
  p.Initialize(TestDevice(), Rng(1), "codebook");
  p.set_ascending();
  p.SetMaster(FromDoubles(TestDevice(), DType::kF32, {5}, {0, 0, 0, 0, 0}));
  p.AccumulateGradient(FromDoubles(TestDevice(), DType::kF32, {5}, {1, NAN, -2, 3, -4}));
  const auto sgd = MakeSgd({}).value();
  Step(*sgd, {&p}, {.learning_rate = 1});
  const std::vector<double> values = ToDoubles(p.master());
  EXPECT_EQ((std::vector<double>{values.begin(), values.begin() + 4}), (std::vector<double>{-3, -1, 2, 4}));
  EXPECT_TRUE(std::isnan(values[4]));
}

TEST(PowerTest, IsWithinARoundingAFactor) {
  for (const double base : {0.0, 0.5, 0.9, 0.999, 0.99999}) {
    for (const int64_t exponent : {0, 1, 2, 3, 10, 1000, 123456}) {
      const double expected = std::pow(base, exponent);
      EXPECT_NEAR(Power(base, exponent), expected, 0x1p-53 * static_cast<double>(exponent) * expected)
          << base << "^" << exponent;
    }
  }
}

}  // namespace
}  // namespace halftone::nn
