// Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
// 2019); torch.optim.Adam's and AdamW's rule.
//
//   Adam:   g = grad + weight_decay * w
//   AdamW:  g = grad;  w = w * (1 - learning_rate * weight_decay)
//
//   m = beta1 * m + (1 - beta1) * g            remembered as "exp_avg/<parameter>"
//   v = beta2 * v + (1 - beta2) * g^2          remembered as "exp_avg_sq/<parameter>"
//   w = w - learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)    in step t = 1, 2, ...
#ifndef HALFTONE_NN_OPTIM_ADAM_H_
#define HALFTONE_NN_OPTIM_ADAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "nn/optim/optimizer.h"

namespace halftone {

struct AdamOptions {
  double beta1 = 0.9;       // at least 0, below 1
  double beta2 = 0.999;     // at least 0, below 1
  double epsilon = 1e-8;    // a positive float32: with 0, a parameter without any gradient would become NaN
  double weight_decay = 0;  // at least 0; of every parameter that decays (ParamRef), added to the gradient
};

struct AdamWOptions {
  double beta1 = 0.9;          // as above
  double beta2 = 0.999;        // as above
  double epsilon = 1e-8;       // as above
  double weight_decay = 0.01;  // at least 0; of every parameter that decays, applied to the weight itself
};

// Refuse options outside these ranges with one line that names the field and its value.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdam(const AdamOptions& options);
absl::StatusOr<std::unique_ptr<Optimizer>> MakeAdamW(const AdamWOptions& options);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_ADAM_H_
