// float8.h on an accelerator that multiplies 8-bit floats.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_KERNELS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_KERNELS_H_

#include "tensor/ops/linear/float8.h"

namespace halftone::ops {

// x [M, K], w [N, K], dy [M, N], none of them empty; results are there, not initialised. `bias` and grads.db
// may be undefined. False: not for these sizes or formats, and nothing was done.
struct Float8LinearKernels {
  bool (*forward)(const Factor& x, const Factor& w, const Tensor& bias, Tensor& y);
  bool (*backward_data)(const Factor& dy, const Factor& w, Tensor& dx);
  bool (*backward_weights)(const Factor& x, const Factor& dy, WeightGradients& grads);
};

extern const Float8LinearKernels kFloat8LinearKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_KERNELS_H_
