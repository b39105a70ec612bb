// Where the heads' matrices lie, and how products of all of them become few batched ones.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_HEAD_LAYOUT_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_HEAD_LAYOUT_H_

#include <cstdint>

#include "tensor/ops/attention/implementations.h"

namespace halftone::ops {

// Element (i, j) of head h of batch item b is number first + b * item + h * head + i * row + j of a tensor.
struct HeadLayout {
  int64_t first = 0, item = 0, head = 0, row = 0;
};

// [N, head_width] each.
inline HeadLayout LayoutOf(const AttentionProblem& p, const Columns& c) {
  const int64_t row = c.tensor.shape()[2];
  return {.first = c.first, .item = p.length * row, .head = p.head_width, .row = row};
}

// [N, N] each.
inline HeadLayout SquareLayout(const AttentionProblem& p) {
  const int64_t square = p.length * p.length;
  return {.first = 0, .item = p.heads * square, .head = square, .row = p.length};
}

// A batch has one distance from each matrix to the next: over the items of one head, or over the heads of one
// item, whichever needs fewer products.
struct HeadBatches {
  explicit HeadBatches(const AttentionProblem& p)
      : over_items(p.batch >= p.heads),
        products(over_items ? p.heads : p.batch),
        batch(over_items ? p.batch : p.heads) {}

  int64_t First(const HeadLayout& l, int64_t product) const {
    return l.first + product * (over_items ? l.head : l.item);
  }
  int64_t Stride(const HeadLayout& l) const { return over_items ? l.item : l.head; }

  bool over_items;
  int64_t products, batch;
};

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_HEAD_LAYOUT_H_
