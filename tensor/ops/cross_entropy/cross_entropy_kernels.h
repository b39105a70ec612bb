// cross_entropy.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_KERNELS_H_
#define HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_KERNELS_H_

#include <cstdint>

#include "tensor/ops/cross_entropy/cross_entropy.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Without CrossEntropyOptions::softmax. A label that is not in [0, C) stops the device.
struct CrossEntropyKernels {
  void (*forward)(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options,
                  CrossEntropyResult& result);
  void (*backward)(const Tensor& logits, const Tensor& labels, const Tensor& log_sum_exp, const Seed& seed,
                   const CrossEntropyOptions& options, Tensor& gradient);
  void (*count_correct)(const Tensor& logits, const Tensor& labels, Tensor& count);  // i64 []
};

extern const CrossEntropyKernels kCrossEntropyKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_KERNELS_H_
