// The implementations of activation.h, fastest first; the first that supports an activation and dtype is
// used.
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_IMPLEMENTATIONS_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"
#include "tensor/ops/activation/activation.h"

namespace halftone::ops {

// Vector code for f32, f16 and bf16; one thread.
struct ActivationKernels {
  void (*forward)(DType dtype, const void* x, void* y, size_t n);
  void (*backward)(DType dtype, const void* saved, const void* dy, void* dx, size_t n);
};

struct ActivationImplementation {
  absl::string_view name;
  bool (*supports)(const Activation&, DType);
  void (*forward)(const Activation&, DType, const void* x, void* y, size_t n);
  void (*backward)(const Activation&, DType, const void* saved, const void* dy, void* dx, size_t n);
};

absl::Span<const ActivationImplementation> ActivationImplementations();

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_IMPLEMENTATIONS_H_
