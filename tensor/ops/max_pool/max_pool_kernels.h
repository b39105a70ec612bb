// max_pool.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_KERNELS_H_
#define HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_KERNELS_H_

#include "tensor/ops/max_pool/max_pool_implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised.
struct MaxPoolKernels {
  void (*forward)(const MaxPoolProblem& problem, const Tensor& x, Tensor& y, Tensor& index);
  void (*backward)(const MaxPoolProblem& problem, const Tensor& dy, const Tensor& index, Tensor& dx);
};

extern const MaxPoolKernels kMaxPoolKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_KERNELS_H_
