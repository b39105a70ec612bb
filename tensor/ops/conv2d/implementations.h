// The implementations of convolution, for the dispatcher in conv2d.cc, the tests and the benchmark.
#ifndef HALFTONE_TENSOR_OPS_CONV2D_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_CONV2D_IMPLEMENTATIONS_H_

#include "absl/types/span.h"
#include "tensor/ops/conv2d/conv2d.h"
#include "tensor/ops/conv2d/problem.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct Conv2dImplementation {
  const char* name;
  // Whether it computes this here, on this processor.
  bool (*supports)(const Conv2dProblem& problem);
  // As in conv2d.h, with shapes checked and the result there, not initialised. `bias` and `db` may be
  // undefined.
  void (*forward)(const Conv2dProblem& problem, const Tensor& x, const Tensor& w, const Tensor& bias,
                  Tensor* y);
  void (*backward_data)(const Conv2dProblem& problem, const Tensor& dy, const Tensor& w, Tensor* dx);
  void (*backward_weights)(const Conv2dProblem& problem, const Tensor& x, const Tensor& dy,
                           WeightGradients* grads);
};

// The best first: the first that supports a problem is used. The last supports everything.
absl::Span<const Conv2dImplementation> Conv2dImplementations();

// oneDNN's own arithmetic in the tensors' dtype: float32, and bfloat16 where the processor has it.
extern const Conv2dImplementation kConv2dOneDnn;
// 16-bit storage, float32 arithmetic by oneDNN.
extern const Conv2dImplementation kConv2dWidened;
// The definition, in double, one rounding at the end. Slow.
extern const Conv2dImplementation kConv2dReference;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_IMPLEMENTATIONS_H_
