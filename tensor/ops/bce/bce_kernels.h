// bce.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_

#include <cstdint>

#include "tensor/ops/bce/bce.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// The formulas of BinaryTargets and CountBinaryCorrect.
constexpr float BinaryTarget(int64_t label, double smoothing) {
  return static_cast<float>((1 - smoothing) * static_cast<double>(label) + smoothing / 2);
}
constexpr bool BinaryCorrect(double logit, int64_t label) {
  return logit == logit && (logit > 0) == (label == 1);
}

struct BceKernels {
  void (*targets)(const Tensor& labels, double smoothing, Tensor& targets);
  void (*count_correct)(const Tensor& logits, const Tensor& labels, Tensor& count);
  void (*forward_with_logits)(const Tensor& logits, const Tensor& target, const BceWithLogitsOptions& options,
                              Tensor& loss);
  void (*backward_with_logits)(const Tensor& logits, const Tensor& target, const Seed& seed,
                               const BceWithLogitsOptions& options, Tensor& gradient);
  void (*forward)(const Tensor& probabilities, const Tensor& target, Reduction reduction, Tensor& loss);
  void (*backward)(const Tensor& probabilities, const Tensor& target, const Seed& seed, Reduction reduction,
                   Tensor& gradient);
};

extern const BceKernels kBceKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_
