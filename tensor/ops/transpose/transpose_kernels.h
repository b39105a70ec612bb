// transpose.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

struct TransposeKernels {
  void (*transpose)(const Tensor& x, Tensor& y);  // x is not empty
};

extern const TransposeKernels kTransposeKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_KERNELS_H_
