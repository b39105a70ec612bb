// elementwise.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// All tensors are there, of one dtype and shape.
struct ElementwiseKernels {
  void (*add)(const Tensor& a, const Tensor& b, Tensor& y);  // y may be a
  void (*scale)(const Tensor& a, double factor, Tensor& y);
  bool (*all_finite)(const Tensor& t);
};

extern const ElementwiseKernels kElementwiseKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_KERNELS_H_
