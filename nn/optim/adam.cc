#include "nn/optim/adam.h"

#include <array>
#include <cmath>
#include <string>

#include "absl/strings/str_format.h"
#include "nn/optim/adam_kernel.h"

namespace halftone {
namespace {

enum class WeightDecay { kOfGradient, kOfWeight };

class Adam : public Optimizer {
 public:
  Adam(const AdamOptions& options, WeightDecay decay)
      : Optimizer({"exp_avg", "exp_avg_sq"}), options_(options), decay_(decay) {}

  std::string Describe() const override {
    return absl::StrFormat("%s, beta1 %g, beta2 %g, epsilon %g, weight decay %g",
                           decay_ == WeightDecay::kOfWeight ? "AdamW" : "Adam", options_.beta1,
                           options_.beta2, options_.epsilon, options_.weight_decay);
  }

 private:
  AdamRule RuleOf(const StepOptions& step) const {
    return {.decoupled = decay_ == WeightDecay::kOfWeight,
            .learning_rate = step.learning_rate,
            .beta1 = step.momentum.value_or(options_.beta1),
            .beta2 = options_.beta2,
            .epsilon = options_.epsilon,
            .weight_decay = options_.weight_decay};
  }

  Kernel Prepare(const StepOptions& step, int64_t t, bool decays) const override {
    const AdamScalars scalars = RuleOf(step).At(t, decays, step.gradient_factor);
    return [scalars](float* value, const float* grad, const std::array<float*, kMaxSlots>& slots, size_t n) {
      AdamKernel(scalars, value, grad, slots[0], slots[1], n);
    };
  }

  void StepOnDevice(const OptimizerKernels& kernels, const StepOptions& step,
                    const DeviceUpdate& update) const override {
    kernels.adam(RuleOf(step), update);
  }

  const AdamOptions options_;
  const WeightDecay decay_;
};

absl::StatusOr<std::unique_ptr<Optimizer>> Make(const char* name, const AdamOptions& o, WeightDecay decay) {
  const auto refuse = [name](const char* field, double value, const char* expected) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: %s is %.9g, expected %s", name, field, value, expected));
  };
  if (!(o.beta1 >= 0 && o.beta1 < 1)) return refuse("beta1", o.beta1, "a number from 0 to below 1");
  if (!(o.beta2 >= 0 && o.beta2 < 1)) return refuse("beta2", o.beta2, "a number from 0 to below 1");
  const float epsilon = static_cast<float>(o.epsilon);
  if (!(epsilon > 0 && std::isfinite(epsilon)))
    return refuse("epsilon", o.epsilon, "a positive finite float32");
  if (!(o.weight_decay >= 0 && std::isfinite(o.weight_decay))) {
    return refuse("weight_decay", o.weight_decay, "a finite number, at least 0");
  }
  return std::make_unique<Adam>(o, decay);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdam(const AdamOptions& options) {
  return Make("adam", options, WeightDecay::kOfGradient);
}

absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdamW(const AdamWOptions& o) {
  return Make("adamw",
              {.beta1 = o.beta1, .beta2 = o.beta2, .epsilon = o.epsilon, .weight_decay = o.weight_decay},
              WeightDecay::kOfWeight);
}

}  // namespace halftone
