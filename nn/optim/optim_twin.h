// The update rules once more, slowly and plainly, for one parameter in float or double: for tests only.
#ifndef HALFTONE_NN_OPTIM_OPTIM_TWIN_H_
#define HALFTONE_NN_OPTIM_OPTIM_TWIN_H_

#include <cmath>
#include <cstddef>
#include <vector>

#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "nn/optim/step_options.h"

namespace halftone {

template <typename T>
struct SgdTwin {
  SgdOptions options;
  std::vector<T> momentum = {};  // empty before the first step

  void Step(std::vector<T>& value, const std::vector<T>& grad, const StepOptions& step) {
    const bool first = momentum.empty();
    if (first) momentum.resize(value.size());
    const T mu = static_cast<T>(step.momentum.value_or(options.momentum));
    for (size_t i = 0; i < value.size(); ++i) {
      const T g =
          static_cast<T>(step.gradient_factor) * grad[i] + static_cast<T>(options.weight_decay) * value[i];
      T direction = g;
      if (options.momentum != 0) {
        momentum[i] = first ? g : mu * momentum[i] + static_cast<T>(1 - options.dampening) * g;
        direction = options.nesterov ? g + mu * momentum[i] : momentum[i];
      }
      value[i] -= static_cast<T>(step.learning_rate) * direction;
    }
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
    ++t;
    const double beta1 = step.momentum.value_or(options.beta1), beta2 = options.beta2;
    for (size_t i = 0; i < value.size(); ++i) {
      T g = static_cast<T>(step.gradient_factor) * grad[i];
      if (decoupled) {
        value[i] *= static_cast<T>(1 - step.learning_rate * options.weight_decay);
      } else {
        g += static_cast<T>(options.weight_decay) * value[i];
      }
      exp_avg[i] += static_cast<T>(1 - beta1) * (g - exp_avg[i]);
      exp_avg_sq[i] = static_cast<T>(beta2) * exp_avg_sq[i] + static_cast<T>(1 - beta2) * g * g;
      const T spread = std::sqrt(exp_avg_sq[i]) / static_cast<T>(std::sqrt(1 - std::pow(beta2, t))) +
                       static_cast<T>(options.epsilon);
      value[i] -= static_cast<T>(step.learning_rate / (1 - std::pow(beta1, t))) * exp_avg[i] / spread;
    }
  }
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_OPTIM_TWIN_H_
