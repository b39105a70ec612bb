// What changes from step to step in an optimiser: made by a Schedule, used by an Optimizer.
#ifndef HALFTONE_NN_OPTIM_STEP_OPTIONS_H_
#define HALFTONE_NN_OPTIM_STEP_OPTIONS_H_

#include <optional>

namespace halftone {

struct StepOptions {
  double learning_rate = 0;  // finite, not negative
  // At least 0 and below 1. Replaces SGD's momentum or Adam's beta1 in this step; absent: the optimiser's
  // own. SGD made without momentum ignores it.
  std::optional<double> momentum = std::nullopt;
  // Every gradient is multiplied by this first: clipping to a global norm, without a pass of its own. Finite.
  float gradient_factor = 1;
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_STEP_OPTIONS_H_
