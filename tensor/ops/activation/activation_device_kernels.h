// activation.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_DEVICE_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_DEVICE_KERNELS_H_

#include "tensor/ops/activation/activation.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// All tensors are there, of one dtype and shape; `learned` is as activation.h has it.
struct ActivationDeviceKernels {
  bool (*supports)(const Activation& activation);  // what it does not the host computes
  void (*forward)(const Activation& activation, const Tensor& x, const Tensor& learned, Tensor& y);
  void (*backward)(const Activation& activation, const Tensor& saved, const Tensor& dy, const Tensor& learned,
                   Tensor& dx);
  // gradient: of the dtype and shape of `learned`.
  void (*backward_learned)(const Activation& activation, const Tensor& saved, const Tensor& dy,
                           Tensor& gradient);
};

extern const ActivationDeviceKernels kActivationDeviceKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_DEVICE_KERNELS_H_
