// Two-dimensional convolution (cross-correlation, as everywhere in this field) and its gradients:
//
//   y[n,i,j,o] = bias[o] + sum over (c,a,b) of x[n, i stride + a - padding, j stride + b - padding, c] w[o,c,a,b]
//
// with x zero outside the image; with groups > 1, output channel o sees the channels of its own group only.
//
// Images are [N, H, W, C], weights [O, C/groups, KH, KW] as in PyTorch's state dicts. x, w, y and dy share
// one dtype: float64, float32, float16 or bfloat16. For the 16-bit types products are exact and sums are
// float32, rounded once, to nearest even, into the result. Shapes that do not fit together are a bug of the
// caller's and stop the program.
//
// The same inputs with the same number of threads give the same bits.
#ifndef HALFTONE_TENSOR_OPS_CONV2D_CONV2D_H_
#define HALFTONE_TENSOR_OPS_CONV2D_CONV2D_H_

#include "tensor/ops/linear/weight_gradients.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct Conv2dOptions {
  int stride = 1;   // >= 1, in both directions
  int padding = 0;  // >= 0, zeros on each of the four sides
  int groups = 1;   // divides C and O
};

// [N, (H + 2 padding - KH) / stride + 1, (W + 2 padding - KW) / stride + 1, O].
Shape Conv2dOutputShape(const Shape& x, const Shape& w, const Conv2dOptions& options);

// y in x's dtype. `bias` is [O], in x's dtype or in float32 (used as it is, not rounded), or undefined for
// none.
Tensor Conv2dForward(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options);

// dx of shape `x_shape`, in dy's dtype.
Tensor Conv2dBackwardData(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                          const Conv2dOptions& options);

// db is undefined unless wanted.
WeightGradients Conv2dBackwardWeights(const Tensor& x, const Tensor& dy, const Shape& w_shape, bool want_bias,
                                      const Conv2dOptions& options);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_CONV2D_H_
