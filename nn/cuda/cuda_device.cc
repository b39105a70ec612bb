#include "nn/cuda/cuda_device.h"

#include <utility>

#include "base/status_macros.h"
#include "tensor/cuda/cuda_accelerator.h"
#include "nn/cuda/install.h"

namespace halftone::cuda {

absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice(int index, std::FILE* notes) {
  ASSIGN_OR_RETURN(std::unique_ptr<CudaAccelerator> accelerator, CudaAccelerator::Create(index));
  auto device = std::make_unique<Device>(std::move(accelerator), notes);
  InstallKernels(*device);
  return device;
}

}  // namespace halftone::cuda
