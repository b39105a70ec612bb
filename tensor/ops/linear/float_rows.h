// For implementations that compute in float32 what is stored in 16 bits: rows of x as they are multiplied,
// and rows of y as they are given.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_FLOAT_ROWS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_FLOAT_ROWS_H_

#include <cstdint>

#include "tensor/onednn/onednn.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Rows [first, first + count) of x.
inline void ReadRows(const LinearProblem& p, const Tensor& x, int64_t first, int64_t count, float* rows) {
  if (p.rounds) {
    onednn::RoundRange(x.data<float>() + first * p.k, count * p.k, p.dtype, rows);
  } else {
    onednn::WidenRange(x, first * p.k, count * p.k, rows);
  }
}

// Rows [first, first + count) of y.
inline void WriteRows(const LinearProblem& p, const float* rows, int64_t first, int64_t count, Tensor* y) {
  if (p.rounds) {
    onednn::RoundRange(rows, count * p.n, p.dtype, y->data<float>() + first * p.n);
  } else {
    onednn::NarrowRange(rows, first * p.n, count * p.n, y);
  }
}

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_FLOAT_ROWS_H_
