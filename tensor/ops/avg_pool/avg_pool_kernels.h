// avg_pool.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_KERNELS_H_
#define HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_KERNELS_H_

#include "tensor/ops/avg_pool/avg_pool_implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised.
struct AvgPoolKernels {
  void (*forward)(const AvgPoolProblem& problem, const Tensor& x, Tensor& y);
  void (*backward)(const AvgPoolProblem& problem, const Tensor& dy, Tensor& dx);
};

extern const AvgPoolKernels kAvgPoolKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_KERNELS_H_
