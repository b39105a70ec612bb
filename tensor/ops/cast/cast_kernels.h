// cast.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_CAST_CAST_KERNELS_H_
#define HALFTONE_TENSOR_OPS_CAST_CAST_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// x and y are of one shape and of different float dtypes.
struct CastKernels {
  void (*cast)(const Tensor& x, Tensor& y);
};

extern const CastKernels kCastKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CAST_CAST_KERNELS_H_
