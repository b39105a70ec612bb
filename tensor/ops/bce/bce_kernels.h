// bce.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_

#include "tensor/ops/bce/bce.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct BceKernels {
  void (*forward_with_logits)(const Tensor& logits, const Tensor& target, const BceWithLogitsOptions& options,
                              Tensor& loss);
  void (*backward_with_logits)(const Tensor& logits, const Tensor& target, double seed,
                               const BceWithLogitsOptions& options, Tensor& gradient);
  void (*forward)(const Tensor& probabilities, const Tensor& target, Reduction reduction, Tensor& loss);
  void (*backward)(const Tensor& probabilities, const Tensor& target, double seed, Reduction reduction,
                   Tensor& gradient);
};

extern const BceKernels kBceKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BCE_BCE_KERNELS_H_
