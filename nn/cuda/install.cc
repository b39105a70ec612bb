#include "nn/cuda/install.h"

#include "tensor/ops/elementwise/elementwise_kernels.h"

namespace halftone::cuda {

void InstallKernels(Device& device) { device.Install(ops::kElementwiseKernels); }

}  // namespace halftone::cuda
