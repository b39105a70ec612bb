// The arithmetic between the two products of attention, a row of scores at a time. One thread.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_ROWS_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "base/philox.h"
#include "tensor/dtype.h"

namespace halftone::ops {

// Rows of n numbers that lie one after the other. `stored` is the dtype of the probabilities, `computed` that
// in which the products are done: the same, or float32. All loads and stores between them round once, to
// nearest even.
struct SoftmaxRows {
  DType stored, computed;
  size_t rows, n;
};

// Probabilities from scores (of `computed`, rounded to `stored` before anything else; may be the same
// memory). mask, if not null: n numbers, 0 where a key is to get 0.
void ForwardSoftmaxRows(const SoftmaxRows& r, const void* scores, const int64_t* mask, void* probabilities);

// What the second product takes: the probabilities, with dropout, in `computed`. first: the index of the
// first of them in the whole tensor, by which the random numbers go.
void DropoutRows(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                 uint64_t first, void* kept);

// The gradient of the scores from that of what DropoutRows gave, in place (of `computed`, rounded to `stored`
// before and after).
void BackwardSoftmaxRows(const SoftmaxRows& r, const void* probabilities, double dropout, const Rng& stream,
                         uint64_t first, void* gradient);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_ROWS_H_
