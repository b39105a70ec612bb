// batch_norm.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_KERNELS_H_
#define HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_KERNELS_H_

#include "tensor/ops/batch_norm/batch_norm.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised. Undefined residuals: there is none.
struct BatchNormKernels {
  void (*forward)(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor& running_mean,
                  Tensor& running_var, const BatchNormOptions& options, const Tensor& residual,
                  BatchNormResult& result);
  void (*keep_running)(const Tensor& moved_mean, const Tensor& moved_var, Tensor& running_mean,
                       Tensor& running_var, Tensor& batches);
  void (*inference)(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                    const Tensor& running_var, const BatchNormOptions& options, const Tensor& residual,
                    Tensor& y);
  // gradients.dresidual: to be written, by what residual_y tells; undefined where it is dy, or where there is
  // no residual. Then residual_y is undefined too, and dx is that of dy itself if there was a residual.
  void (*backward)(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                   const Tensor& inv_std, const Tensor& dy, BatchNormActivation activation,
                   const Tensor& residual_y, BatchNormGradients& gradients);
};

extern const BatchNormKernels kBatchNormKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_KERNELS_H_
