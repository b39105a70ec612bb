// Vector code of activations, for the table in activation.cc.
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_

#include "tensor/ops/activation/activation_implementations.h"

namespace halftone::ops {

extern const ActivationKernels kReluKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_KERNELS_H_
