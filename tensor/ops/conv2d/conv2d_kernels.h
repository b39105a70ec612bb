// conv2d.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_CONV2D_CONV2D_KERNELS_H_
#define HALFTONE_TENSOR_OPS_CONV2D_CONV2D_KERNELS_H_

#include "tensor/ops/conv2d/problem.h"
#include "tensor/ops/linear/weight_gradients.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised; the problem is not empty. `bias` and
// grads.db may be undefined.
struct Conv2dKernels {
  void (*forward)(const Conv2dProblem& problem, const Tensor& x, const Tensor& w, const Tensor& bias,
                  Tensor& y);
  void (*backward_data)(const Conv2dProblem& problem, const Tensor& dy, const Tensor& w, Tensor& dx);
  void (*backward_weights)(const Conv2dProblem& problem, const Tensor& x, const Tensor& dy,
                           WeightGradients& grads);
};

extern const Conv2dKernels kConv2dKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_CONV2D_KERNELS_H_
