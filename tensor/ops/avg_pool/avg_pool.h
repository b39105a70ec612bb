// Adaptive average pooling: an image [N, H, W, C] becomes [N, out_h, out_w, C].
#ifndef HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_H_
#define HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_H_

#include <cstdint>

#include "tensor/tensor.h"

namespace halftone::ops {

// Output row i is the mean of the input rows from floor(i * H / out_h) up to, not including,
// ceil((i + 1) * H / out_h), and columns likewise, as in PyTorch's AdaptiveAvgPool2d. Sums are float (double
// for f64).
Tensor AdaptiveAvgPoolForward(const Tensor& x, int64_t out_h = 1, int64_t out_w = 1);

// dy is [N, out_h, out_w, C]; x_shape is [N, H, W, C].
Tensor AdaptiveAvgPoolBackward(const Tensor& dy, const Shape& x_shape);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_H_
