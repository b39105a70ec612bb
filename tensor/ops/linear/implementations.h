// The implementations of linear maps, for the dispatcher in linear.cc, the tests and the benchmark.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_IMPLEMENTATIONS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tensor/dtype.h"
#include "tensor/ops/linear/weight_gradients.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// A linear map without its numbers.
struct LinearProblem {
  DType dtype = DType::kF32;    // of x, w, y and dy
  int64_t m = 0, k = 0, n = 0;  // x is [m, k], w is [n, k], y is [m, n]
  // x, or y, is float32 where `dtype` is of 16 bits: x is rounded to it first, y at the end. Forward alone.
  bool wide_x = false, wide_y = false;

  bool Empty() const { return m == 0 || k == 0 || n == 0; }
  friend bool operator==(const LinearProblem& a, const LinearProblem& b) = default;
};

struct LinearImplementation {
  const char* name;
  // Whether it computes this here, on this processor.
  bool (*supports)(const LinearProblem& problem);
  // As in linear.h, with shapes checked and the result there, not initialised. Leading dimensions count as m.
  // `bias` and `db` may be undefined.
  void (*forward)(const LinearProblem& problem, const Tensor& x, const Tensor& w, const Tensor& bias,
                  Tensor* y);
  void (*backward_data)(const LinearProblem& problem, const Tensor& dy, const Tensor& w, Tensor* dx);
  void (*backward_weights)(const LinearProblem& problem, const Tensor& x, const Tensor& dy,
                           WeightGradients* grads);
};

// The tensor's shape with another last dimension.
Shape WithLast(const Tensor& t, int64_t last);

// The best first: the first that supports a problem is used. The last supports everything.
absl::Span<const LinearImplementation> LinearImplementations();

// oneDNN's own arithmetic in the tensors' dtype: float32, and bfloat16 where the processor has it.
extern const LinearImplementation kLinearOneDnn;
// Float32 arithmetic of few rows of x, without a widened copy of 16-bit weights: a forward of its own.
extern const LinearImplementation kLinearPanels;
// 16-bit storage, float32 arithmetic.
extern const LinearImplementation kLinearWidened;
// The definition, in double, one rounding at the end. Slow.
extern const LinearImplementation kLinearReference;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_IMPLEMENTATIONS_H_
