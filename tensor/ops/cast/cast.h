// Between the four float types.
#ifndef HALFTONE_TENSOR_OPS_CAST_CAST_H_
#define HALFTONE_TENSOR_OPS_CAST_CAST_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// Rounds once, to nearest even; what is too large becomes infinity. Where x is of dtype `to` already, the
// result is x itself (the same elements), not a copy.
Tensor Cast(const Tensor& x, DType to);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CAST_CAST_H_
