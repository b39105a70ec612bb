// Vector code of activations, for activation.cc.
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "tensor/dtype.h"

namespace halftone::ops {

// For f32, f16 and bf16; one thread. a: the learned number, of activations that have one. x and y, dy and dx
// may be the same memory. An element's result depends on its own value alone, not on where it stands.
struct ActivationKernels {
  absl::string_view name;  // of the activation
  void (*forward)(DType dtype, double a, const void* x, void* y, size_t n);
  void (*backward)(DType dtype, double a, const void* saved, const void* dy, void* dx, size_t n);
  // The sum of dy * df/da; null where nothing is learned.
  double (*backward_learned)(DType dtype, double a, const void* saved, const void* dy, size_t n) = nullptr;
};

// Those of this processor; null if there are none of that name.
const ActivationKernels* FindActivationKernels(absl::string_view name);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_
