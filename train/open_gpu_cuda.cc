#include "nn/cuda/cuda_device.h"
#include "train/open_device.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int index, std::FILE* notes) {
  return cuda::MakeCudaDevice(index, notes);
}

}  // namespace halftone
