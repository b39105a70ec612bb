// The last two dimensions of a tensor exchanged: [..., M, N] -> [..., N, M]. Values are moved, not computed;
// the backward is the same function.
#ifndef HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_H_
#define HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// Any float dtype; two dimensions at least.
Tensor Transpose(const Tensor& x);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_TRANSPOSE_TRANSPOSE_H_
