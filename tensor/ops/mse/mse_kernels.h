// mse.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_MSE_MSE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_MSE_MSE_KERNELS_H_

#include "tensor/ops/reduction.h"
#include "tensor/ops/seed.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct MseKernels {
  void (*forward)(const Tensor& prediction, const Tensor& target, Reduction reduction, Tensor& loss);
  void (*backward)(const Tensor& prediction, const Tensor& target, const Seed& seed, Reduction reduction,
                   Tensor& gradient);
};

extern const MseKernels kMseKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_MSE_MSE_KERNELS_H_
