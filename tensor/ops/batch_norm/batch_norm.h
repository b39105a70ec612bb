// Batch normalisation over the last dimension, the channels: for each channel c of x [..., C]
//
//   y = (x - mean) * inv_std * gamma + beta,   inv_std = 1 / sqrt(variance + eps),
//
// and with `relu`, max(y, 0) in the same pass over memory.
//
// Ioffe, Szegedy: "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
// Shift", ICML 2015. Moments of parts are merged as in Chan, Golub, LeVeque: "Updating Formulae and a
// Pairwise Algorithm for Computing Sample Variances", 1979.
//
// x, y and their gradients are of any one float dtype. All the rest ([C] each) is f32, or f64 where x is. The
// results have the same bits for any number of threads.
#ifndef HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_
#define HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_

#include "tensor/tensor.h"

namespace halftone::ops {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // weight of the newest batch in the running statistics
  bool relu = false;      // y = max(y, 0); its gradient at 0 is 0
};

struct BatchNormResult {
  Tensor y;
  Tensor mean, inv_std;  // of the batch, for BatchNormBackward
};

// Training: normalises with the mean and the (biased) variance of this batch, and moves the running
// statistics: running = (1 - momentum) * running + momentum * batch, with the unbiased variance. A batch of
// one value a channel has no unbiased variance: it must have two or more.
BatchNormResult BatchNormForward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 Tensor& running_mean, Tensor& running_var, const BatchNormOptions& options);

// Evaluation: normalises with the running statistics.
Tensor BatchNormInference(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                          const Tensor& running_mean, const Tensor& running_var,
                          const BatchNormOptions& options);

struct BatchNormGradients {
  Tensor dx, dgamma, dbeta;
};

// Of BatchNormForward with the same x, gamma, beta and options. y is not needed, also not for the ReLU:
// whether an element was positive is computed again from x, by the same arithmetic.
BatchNormGradients BatchNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     const Tensor& mean, const Tensor& inv_std, const Tensor& dy,
                                     const BatchNormOptions& options);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_
