// Images cut into square patches that do not overlap, each a row of features:
//
//   y[n, i, j, (c * size + a) * size + b] = x[n, i * size + a, j * size + b, c]
//
// [N, H, W, C] -> [N, H / size, W / size, C * size^2]: the features are in the order (channel, row, column)
// of PyTorch's unfold. Values are moved, not computed, so that the backward is the inverse.
#ifndef HALFTONE_TENSOR_OPS_PATCHES_PATCHES_H_
#define HALFTONE_TENSOR_OPS_PATCHES_PATCHES_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// Any float dtype; size >= 1 divides H and W.
Tensor PatchesForward(const Tensor& x, int size);
// dx of `channels` channels.
Tensor PatchesBackward(const Tensor& dy, int size, int64_t channels);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_PATCHES_PATCHES_H_
