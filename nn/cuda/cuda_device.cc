#include "nn/cuda/cuda_device.h"

#include <utility>

#include "base/status_macros.h"
#include "nn/cuda/install.h"
#include "tensor/cuda/cuda_accelerator.h"
#include "tensor/ops/attention/attention_kernels.h"
#include "tensor/ops/conv2d/conv2d_kernels.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/ops/linear/linear_kernels.h"

namespace halftone::cuda {

absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice(int index, std::FILE* notes) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaAccelerator> accelerator, CudaAccelerator::Create(index));
  constexpr int kWithFloat8 = 89;
  const bool has_float8 = accelerator->properties().capability >= kWithFloat8;
  auto device = std::make_unique<Device>(std::move(accelerator), notes);
  InstallKernels(*device);
  // By libraries, which have nothing for a GPU that the host plays.
  device->Install(ops::kAttentionKernels);
  device->Install(ops::kConv2dKernels);
  device->Install(ops::kLinearKernels);
  if (has_float8) device->Install(ops::kFloat8LinearKernels);
  return device;
}

}  // namespace halftone::cuda
