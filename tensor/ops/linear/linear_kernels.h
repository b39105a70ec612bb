// linear.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_LINEAR_KERNELS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_LINEAR_KERNELS_H_

#include "tensor/ops/linear/implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised; the problem is not empty. `bias` and
// grads.db may be undefined.
struct LinearKernels {
  void (*forward)(const LinearProblem& problem, const Tensor& x, const Tensor& w, const Tensor& bias,
                  Tensor& y);
  void (*backward_data)(const LinearProblem& problem, const Tensor& dy, const Tensor& w, Tensor& dx);
  void (*backward_weights)(const LinearProblem& problem, const Tensor& x, const Tensor& dy,
                           WeightGradients& grads);
};

extern const LinearKernels kLinearKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_LINEAR_KERNELS_H_
