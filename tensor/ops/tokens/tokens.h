// What transformers do to sequences [B, N, D] at their two ends: a learned token in front and learned
// positions on all at the one, the first token taken out at the other; and what they are told of texts.
//
// Dosovitskiy et al.: "An Image is Worth 16x16 Words", 2021, section 3.1.
#ifndef HALFTONE_TENSOR_OPS_TOKENS_TOKENS_H_
#define HALFTONE_TENSOR_OPS_TOKENS_TOKENS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// y [B, N + 1, D] in the dtype of the positions [N + 1, D] and of the token, D numbers: f32, or f64 for an
// f64 x.
//   y[b, 0] = token + positions[0],   y[b, 1 + i] = x[b, i] + positions[1 + i].
Tensor PrependTokenForward(const Tensor& x, const Tensor& token, const Tensor& positions);

struct PrependTokenGradients {
  Tensor dx;                  // of `x_dtype`
  Tensor dtoken, dpositions;  // of dy's dtype: [D] and [N + 1, D]; sums over the batch in double
};

// The same bits for any number of threads.
PrependTokenGradients PrependTokenBackward(const Tensor& dy, DType x_dtype);

// [B, N, D] of any float dtype -> [B, D], and the gradient back: zeros for the others.
Tensor FirstTokenForward(const Tensor& x);
Tensor FirstTokenBackward(const Tensor& dy, int64_t length);

// Plane `plane` of int64 [B, P, N]: [B, N].
Tensor TokenPlane(const Tensor& tokens, int64_t plane);

// int64 like `words` [B, N]: 0 to N - 1 in each row.
Tensor TokenPositions(const Tensor& words);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_TOKENS_TOKENS_H_
