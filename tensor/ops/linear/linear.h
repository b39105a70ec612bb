// y = x w^T + bias and its gradients, over the last dimension of x:
//
//   y[..., n] = bias[n] + sum over k of x[..., k] w[n, k]
//
// Weights are [N, K] as in PyTorch's state dicts. x, w, y and dy share one dtype: float64, float32, float16
// or bfloat16. For the 16-bit types products are exact and sums are float32, rounded once, to nearest even,
// into the result. Shapes that do not fit together are a bug of the caller's and stop the program.
//
// The same inputs with the same number of threads give the same bits.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_LINEAR_H_
#define HALFTONE_TENSOR_OPS_LINEAR_LINEAR_H_

#include "tensor/ops/linear/weight_gradients.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// y [..., N] from x [..., K]. `bias` is [N], in w's dtype or in float32, or undefined for none: the CPU uses a
// float32 bias as it is, a GPU may round it to w's dtype, as autocast does. y is of dtype `y`, by default x's.
// Either may be float32 where w is of 16 bits: x is rounded to w's dtype first, y at the end; the same numbers
// as with casts before and after, in fewer passes over memory.
Tensor LinearForward(const Tensor& x, const Tensor& w, const Tensor& bias);
Tensor LinearForward(const Tensor& x, const Tensor& w, const Tensor& bias, DType y);

// dx [..., K] in dy's dtype, from dy [..., N].
Tensor LinearBackwardData(const Tensor& dy, const Tensor& w);

// x [..., K] and dy [..., N] agree in the dimensions before the last.
WeightGradients LinearBackwardWeights(const Tensor& x, const Tensor& dy, bool want_bias);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_LINEAR_H_
