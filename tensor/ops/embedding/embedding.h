// Rows looked up in tables by number, and summed: what a transformer makes of words, their positions and
// their types.
//
// Devlin et al.: "BERT: Pre-training of Deep Bidirectional Transformers", 2018, figure 2.
#ifndef HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_H_
#define HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct Lookup {
  Tensor table;  // [V, D], f32 or f64
  // int64 [...], each in [0, V): anything else ends the program, or stops an accelerator with an error
  // (Accelerator::status).
  Tensor index;
};

// y [..., D] in the tables' dtype: y[r] = tables[0][index0[r]] + tables[1][index1[r]] + ..., added in that
// order. All tables have one dtype and D, all indices one shape.
Tensor EmbeddingForward(absl::Span<const Lookup> lookups);

inline constexpr int64_t kNoPadding = -1;

// The gradient of a table of `rows` rows, in dy's dtype: [rows, D], each row the sum of dy's where its number
// stands in the index, in double and rounded once; zeros where it stands nowhere, and for the padding row.
// The same bits for any number of threads.
Tensor EmbeddingBackward(const Tensor& dy, const Tensor& index, int64_t rows,
                         int64_t padding_row = kNoPadding);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_H_
