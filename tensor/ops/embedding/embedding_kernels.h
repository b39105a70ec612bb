// embedding.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_KERNELS_H_
#define HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_KERNELS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tensor/ops/embedding/embedding.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// A number that is not in its table stops the device.
struct EmbeddingKernels {
  void (*forward)(absl::Span<const Lookup> lookups, Tensor& y);
  // gradient [V, D]: zeros before.
  void (*backward)(const Tensor& dy, const Tensor& index, int64_t padding_row, Tensor& gradient);
};

extern const EmbeddingKernels kEmbeddingKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_EMBEDDING_EMBEDDING_KERNELS_H_
