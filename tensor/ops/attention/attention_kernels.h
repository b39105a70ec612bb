// attention.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_KERNELS_H_

#include "tensor/ops/attention/implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Shapes and dtypes are checked, results are there, not initialised; `mask` may be undefined.
struct AttentionKernels {
  void (*forward)(const AttentionProblem& problem, const Columns& q, const Columns& k, const Columns& v,
                  const Tensor& mask, Tensor& y, Tensor& probabilities);
  void (*backward)(const AttentionProblem& problem, const Columns& q, const Columns& k, const Columns& v,
                   const Tensor& probabilities, const Tensor& dy, Columns& dq, Columns& dk, Columns& dv);
};

extern const AttentionKernels kAttentionKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_ATTENTION_KERNELS_H_
