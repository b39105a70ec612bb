// What a linear map and a convolution do with a bias beside their products, on an accelerator: of any tensor
// as rows of channels.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_BIAS_KERNELS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_BIAS_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

struct BiasKernels {
  // y [..., N] = sums + bias, rounded once. sums: float32, or float64 where y is; may be y itself. bias [N]:
  // of y's dtype, or float32.
  void (*add)(const Tensor& sums, const Tensor& bias, Tensor& y);
  // db [N], float32 or float64 where dy is: the sums of dy [..., N] over all but the last dimension.
  void (*gradient)(const Tensor& dy, Tensor& db);
};

extern const BiasKernels kBiasKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_BIAS_KERNELS_H_
