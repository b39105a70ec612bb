// Scaled dot-product attention of several heads: for each of them, with queries, keys and values q, k, v [N,
// d],
//
//   p = softmax(q k^T / sqrt(d)) over the keys,   y = dropout(p) v
//
// Vaswani et al.: "Attention Is All You Need", 2017, section 3.2.
//
// q, k, v, p and y are of one float dtype. Both products have float32 sums, rounded once into that dtype; the
// softmax between them is float32 arithmetic (all of it float64 where the inputs are). The same inputs with
// the same number of threads give the same bits.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_H_

#include <cstdint>

#include "base/philox.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// `width` neighbouring numbers, from `first` on, of each row of a tensor [B, N, row]; the heads lie in them
// side by side. So queries, keys and values may be parts of one tensor, as one linear map gives them.
struct Columns {
  Tensor tensor;
  int64_t first = 0;
};

struct AttentionOptions {
  int64_t heads = 1;    // divides width
  int64_t width = 0;    // of q, k, v and y, all heads together
  double dropout = 0;   // probability to leave out an entry of p; the others are scaled by 1 / (1 - dropout)
  Rng stream = Rng(0);  // of dropout
};

struct AttentionResult {
  Tensor y;              // [B, N, width]
  Tensor probabilities;  // p, before dropout: [B, heads, N, N], for AttentionBackward
};

// mask: int64 [B, N], 0 where a key is padding, whose p is 0 (so are those of a row without any key); or
// undefined.
AttentionResult AttentionForward(const Columns& q, const Columns& k, const Columns& v, const Tensor& mask,
                                 const AttentionOptions& options);

// Overwrites dq, dk and dv, of q's, k's and v's shapes and dtype; columns beside them are not touched.
void AttentionBackward(const Columns& q, const Columns& k, const Columns& v, const Tensor& probabilities,
                       const Tensor& dy, const AttentionOptions& options, Columns dq, Columns dk, Columns dv);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_H_
