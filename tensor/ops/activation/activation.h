// Activations: functions of one number, applied to every element. Each is a row of Activations().
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct ActivationKernels;  // activation_implementations.h

struct Activation {
  absl::string_view name;  // as in the configuration of a model: "relu"
  // What backward is given: the output y = f(x) if true, else the input x.
  bool saves_output = false;
  double (*f)(double x);
  double (*df)(double saved);  // f'(x) from what was saved
  // Vector code of the same two functions; null: f and df serve, slowly.
  const ActivationKernels* kernels = nullptr;
};

absl::Span<const Activation> Activations();
// Null if there is none of that name.
const Activation* FindActivation(absl::string_view name);

// f(x); NaN stays NaN.
Tensor ActivationForward(const Activation& activation, const Tensor& x);
// dy * f'(x). saved: y or x, as activation.saves_output says; of dy's dtype and shape.
Tensor ActivationBackward(const Activation& activation, const Tensor& saved, const Tensor& dy);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_
