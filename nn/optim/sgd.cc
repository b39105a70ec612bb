#include "nn/optim/sgd.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nn/optim/sgd_kernel.h"

namespace halftone {
namespace {

class Sgd : public Optimizer {
 public:
  explicit Sgd(const SgdOptions& options)
      : Optimizer(options.momentum > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}),
        options_(options),
        kind_(options.momentum == 0 ? SgdKind::kPlain
              : options.nesterov    ? SgdKind::kNesterov
                                    : SgdKind::kMomentum) {}

  std::string Describe() const override {
    std::string s = absl::StrFormat("SGD, momentum %g", options_.momentum);
    if (options_.nesterov) absl::StrAppend(&s, " (Nesterov)");
    if (options_.dampening > 0) absl::StrAppend(&s, ", dampening ", options_.dampening);
    return absl::StrCat(s, ", weight decay ", options_.weight_decay);
  }

 private:
  SgdRule RuleOf(const StepOptions& step) const {
    return {.kind = kind_,
            .learning_rate = step.learning_rate,
            .momentum = step.momentum.value_or(options_.momentum),
            .dampening = options_.dampening,
            .weight_decay = options_.weight_decay};
  }

  Kernel Prepare(const StepOptions& step, int64_t t, bool decays) const override {
    const SgdScalars scalars = RuleOf(step).At(t, decays, step.gradient_factor);
    return
        [scalars, kind = kind_](float* value, const float* grad, const std::array<float*, kMaxSlots>& slots,
                                size_t n) { SgdKernel(kind, scalars, value, grad, slots[0], n); };
  }

  void StepOnDevice(const OptimizerKernels& kernels, const StepOptions& step,
                    const DeviceUpdate& update) const override {
    kernels.sgd(RuleOf(step), update);
  }

  const SgdOptions options_;
  const SgdKind kind_;
};

absl::Status Refuse(const char* field, double value, const char* expected) {
  return absl::InvalidArgumentError(absl::StrFormat("sgd: %s is %.9g, expected %s", field, value, expected));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> MakeSgd(const SgdOptions& o) {
  if (!(o.momentum >= 0 && std::isfinite(o.momentum))) {
    return Refuse("momentum", o.momentum, "a finite number, at least 0");
  }
  if (!(o.dampening >= 0 && o.dampening <= 1))
    return Refuse("dampening", o.dampening, "a number from 0 to 1");
  if (!(o.weight_decay >= 0 && std::isfinite(o.weight_decay))) {
    return Refuse("weight_decay", o.weight_decay, "a finite number, at least 0");
  }
  if (o.nesterov && o.momentum == 0) return Refuse("momentum", o.momentum, "more than 0 with nesterov");
  if (o.nesterov && o.dampening > 0) return Refuse("dampening", o.dampening, "0 with nesterov");
  return std::make_unique<Sgd>(o);
}

}  // namespace halftone
