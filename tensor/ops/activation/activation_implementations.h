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

// One thread. a: the learned number, of rows that have one.
struct ActivationImplementation {
  absl::string_view name;
  bool (*supports)(const Activation&, DType);
  void (*forward)(const Activation&, DType, double a, const void* x, void* y, size_t n);
  void (*backward)(const Activation&, DType, double a, const void* saved, const void* dy, void* dx, size_t n);
  // The sum of dy * df/da.
  double (*backward_learned)(const Activation&, DType, double a, const void* saved, const void* dy, size_t n);
};

absl::Span<const ActivationImplementation> ActivationImplementations();

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_IMPLEMENTATIONS_H_
