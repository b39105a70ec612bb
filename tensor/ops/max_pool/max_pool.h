// Maxima of square windows of images [N, H, W, C].
#ifndef HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_H_
#define HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_H_

#include <cstdint>

#include "tensor/tensor.h"

namespace halftone::ops {

struct MaxPoolOptions {
  int64_t window = 2;  // rows and columns of a window, in [1, 16]
  int64_t stride = 2;  // from one window to the next, at least 1
  // Rows and columns outside that a window may cover, in [0, window / 2]; they never win.
  int64_t padding = 0;
};

struct MaxPoolResult {
  Tensor y;      // [N, (H + 2 * padding - window) / stride + 1, ..., C], of x's dtype
  Tensor index;  // u8, y's shape: where in its window the maximum was, row * window + column
};

// Of equal maxima the first in row-major order wins (-0 equals 0). A NaN wins over every number, the last NaN
// over the others, as in PyTorch.
MaxPoolResult MaxPoolForward(const Tensor& x, const MaxPoolOptions& options);

// Hands every gradient to the element that won; an element that won several windows gets their sum, rounded
// once.
Tensor MaxPoolBackward(const Tensor& dy, const Tensor& index, const Shape& x_shape,
                       const MaxPoolOptions& options);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_H_
