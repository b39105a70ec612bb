// Batch normalisation over the last dimension, the channels: for each channel c of x [..., C]
//
//   y = f((x - mean) * inv_std * gamma + beta [+ residual]),   inv_std = 1 / sqrt(variance + eps),
//
// with the residual and the activation f, where there are such, in the same pass over memory.
//
// Ioffe, Szegedy: "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
// Shift", ICML 2015. Moments of parts are merged as in Chan, Golub, LeVeque: "Updating Formulae and a
// Pairwise Algorithm for Computing Sample Variances", 1979.
//
// x, y and their gradients are of any one float dtype. All the rest ([C] each) is f32, or f64 where x is. The
// results have the same bits for any number of threads.
#ifndef HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_
#define HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_

#include <cstdint>

#include "tensor/tensor.h"

namespace halftone::ops {

enum class BatchNormActivation : uint8_t {
  kNone,
  kRelu,   // max(y, 0); its gradient at 0 is 0
  kRelu6,  // min(max(y, 0), 6); its gradient at 0 and at 6 is 0
};

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // weight of the newest batch in the running statistics
  BatchNormActivation activation = BatchNormActivation::kNone;
};

struct BatchNormResult {
  Tensor y;
  Tensor mean, inv_std;  // of the batch, for BatchNormBackward
};

// Training: normalises with the mean and the (biased) variance of this batch, and moves the running
// statistics: running = (1 - momentum) * running + momentum * batch, with the unbiased variance. A batch of
// one value a channel has no unbiased variance: it must have two or more. The residual is of x's dtype and
// shape, or undefined for none.
BatchNormResult BatchNormForward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 Tensor& running_mean, Tensor& running_var, const BatchNormOptions& options,
                                 const Tensor& residual = Tensor());

// Running statistics that a batch has moved, [C] each, take the place of the old ones, and `batches` (i64,
// one element) counts it; unless one of them is not finite: then the batch overflowed, and is to leave no
// trace.
void KeepRunningStatistics(const Tensor& moved_mean, const Tensor& moved_var, Tensor& running_mean,
                           Tensor& running_var, Tensor& batches);

// Evaluation: normalises with the running statistics.
Tensor BatchNormInference(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                          const Tensor& running_mean, const Tensor& running_var,
                          const BatchNormOptions& options, const Tensor& residual = Tensor());

struct BatchNormGradients {
  Tensor dx, dgamma, dbeta;
  Tensor dresidual;  // where there was a residual; may be dy itself
};

// Of BatchNormForward with the same x, gamma, beta and options. `residual_y` is its y where a residual was
// added, and undefined where not: then y is not needed, also not for the activation, as what that let through
// is computed again from x, by the same arithmetic.
BatchNormGradients BatchNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     const Tensor& mean, const Tensor& inv_std, const Tensor& dy,
                                     const BatchNormOptions& options, const Tensor& residual_y = Tensor());

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_H_
