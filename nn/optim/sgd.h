// Stochastic gradient descent: plain, with momentum, with Nesterov's momentum; torch.optim.SGD's rule.
//
//   g = grad + weight_decay * w
//   m = g in the first step, then momentum * m + (1 - dampening) * g       remembered as "momentum/<parameter>"
//   w = w - learning_rate * (g without momentum; m; g + momentum * m with nesterov)
//
// (Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.)
#ifndef HALFTONE_NN_OPTIM_SGD_H_
#define HALFTONE_NN_OPTIM_SGD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "nn/optim/optimizer.h"

namespace halftone {

struct SgdOptions {
  double momentum = 0;      // at least 0; 0 remembers nothing
  double dampening = 0;     // of the gradient on its way into the momentum; 0 to 1, 0 with nesterov
  double weight_decay = 0;  // at least 0; of every parameter that decays (ParamRef)
  bool nesterov = false;    // needs momentum
};

// Refuses options outside these ranges with one line that names the field and its value.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeSgd(const SgdOptions& options);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_SGD_H_
