// Squared error, (prediction - target)^2 for each element. The arithmetic is float, or double where the
// prediction is f64.
#ifndef HALFTONE_TENSOR_OPS_MSE_MSE_H_
#define HALFTONE_TENSOR_OPS_MSE_MSE_H_

#include "tensor/ops/reduction.h"
#include "tensor/ops/seed.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// f32 (f64 for an f64 prediction): [], or the prediction's shape for Reduction::kNone. The target has the
// prediction's shape and any float dtype; kMean: over all elements.
Tensor MseForward(const Tensor& prediction, const Tensor& target, Reduction reduction);

// The gradient of seed * loss for the prediction, in its dtype.
Tensor MseBackward(const Tensor& prediction, const Tensor& target, const Seed& seed, Reduction reduction);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_MSE_MSE_H_
