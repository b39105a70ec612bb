#include "nn/cuda/install.h"

#include "tensor/ops/activation/activation_device_kernels.h"
#include "tensor/ops/batch_norm/batch_norm_kernels.h"
#include "tensor/ops/cast/cast_kernels.h"
#include "tensor/ops/dropout/dropout_kernels.h"
#include "tensor/ops/elementwise/elementwise_kernels.h"

namespace halftone::cuda {

void InstallKernels(Device& device) {
  device.Install(ops::kActivationDeviceKernels);
  device.Install(ops::kBatchNormKernels);
  device.Install(ops::kCastKernels);
  device.Install(ops::kDropoutKernels);
  device.Install(ops::kElementwiseKernels);
}

}  // namespace halftone::cuda
