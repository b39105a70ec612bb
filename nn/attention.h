// Attention on a graph: tensor/ops/attention says what it computes.
#ifndef HALFTONE_NN_ATTENTION_H_
#define HALFTONE_NN_ATTENTION_H_

#include <cstdint>

#include "nn/graph.h"
#include "nn/quantizer.h"

namespace halftone::nn {

struct AttentionOptions {
  int64_t heads = 1;    // divides the width
  double dropout = 0;   // of the probabilities, in training
  Rng stream = Rng(0);  // of dropout
  // Of queries, keys and values, which share the one of the input (so that from three tensors each adds to a
  // delayed scale's history), and of the result's gradient; null: none.
  LayerQuantizers* quantizers = nullptr;
};

// y [B, N, width] from qkv [B, N, 3 * width]: queries, keys and values side by side, as one linear map gives
// them.
Variable Attention(const Variable& qkv, const AttentionOptions& options);

// The same from three [B, N, width]. mask: int64 [B, N], 0 where a key is padding; or undefined.
Variable Attention(const Variable& q, const Variable& k, const Variable& v, const Tensor& mask,
                   const AttentionOptions& options);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_ATTENTION_H_
