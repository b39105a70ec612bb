// The arithmetic between the two products of attention, on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_KERNELS_H_

#include "tensor/ops/attention/implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Of tensors [B, heads, N, N], in place.
struct SoftmaxKernels {
  // Probabilities from scores; `mask` as in attention.h.
  void (*forward)(const AttentionProblem& problem, const Tensor& mask, Tensor& scores);
  // The gradient of the scores from that of the probabilities after dropout.
  void (*backward)(const AttentionProblem& problem, const Tensor& probabilities, Tensor& gradient);
};

extern const SoftmaxKernels kSoftmaxKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_SOFTMAX_KERNELS_H_
