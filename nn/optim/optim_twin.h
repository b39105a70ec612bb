// The update rules, an element after the other for one parameter in float or double: for tests only.
#ifndef HALFTONE_NN_OPTIM_OPTIM_TWIN_H_
#define HALFTONE_NN_OPTIM_OPTIM_TWIN_H_

#include <cstddef>
#include <vector>

#include "nn/optim/adam.h"
#include "nn/optim/adam_rule.h"
#include "nn/optim/sgd.h"
#include "nn/optim/sgd_rule.h"
#include "nn/optim/step_options.h"

namespace halftone {

template <typename T>
struct SgdTwin {
  SgdOptions options;
  std::vector<T> momentum = {};  // empty before the first step
  int t = 0;

  void Step(std::vector<T>& value, const std::vector<T>& grad, const StepOptions& step) {
    momentum.resize(value.size());
    const SgdRule rule = {.kind = options.momentum == 0 ? SgdKind::kPlain
                                  : options.nesterov    ? SgdKind::kNesterov
                                                        : SgdKind::kMomentum,
                          .learning_rate = step.learning_rate,
                          .momentum = step.momentum.value_or(options.momentum),
                          .dampening = options.dampening,
                          .weight_decay = options.weight_decay};
    const SgdScalarsOf<T> s = rule.At(++t, /*decays=*/true, static_cast<T>(step.gradient_factor));
    for (size_t i = 0; i < value.size(); ++i) value[i] = rule.Update(s, value[i], grad[i], momentum[i]);
  }
};

template <typename T>
struct AdamTwin {
  AdamOptions options;
  bool decoupled = false;  // AdamW
  std::vector<T> exp_avg = {}, exp_avg_sq = {};
  int t = 0;

  void Step(std::vector<T>& value, const std::vector<T>& grad, const StepOptions& step) {
    exp_avg.resize(value.size());
    exp_avg_sq.resize(value.size());
    const AdamRule rule = {.decoupled = decoupled,
                           .learning_rate = step.learning_rate,
                           .beta1 = step.momentum.value_or(options.beta1),
                           .beta2 = options.beta2,
                           .epsilon = options.epsilon,
                           .weight_decay = options.weight_decay};
    const AdamScalarsOf<T> s = rule.At(++t, /*decays=*/true, static_cast<T>(step.gradient_factor));
    for (size_t i = 0; i < value.size(); ++i) {
      value[i] = rule.Update(s, value[i], grad[i], exp_avg[i], exp_avg_sq[i]);
    }
  }
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_OPTIM_TWIN_H_
