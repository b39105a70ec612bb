// layer_norm.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_KERNELS_H_
#define HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_KERNELS_H_

#include "tensor/ops/layer_norm/layer_norm.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised; there is a row.
struct LayerNormKernels {
  // result.normalised undefined: it is not wanted.
  void (*forward)(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                  LayerNormResult& result);
  // Either x and mean are undefined, or normalised.
  void (*backward)(const Tensor& x, const Tensor& mean, const Tensor& normalised, const Tensor& gamma,
                   const Tensor& inv_std, const Tensor& dy, LayerNormGradients& gradients);
};

extern const LayerNormKernels kLayerNormKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_KERNELS_H_
