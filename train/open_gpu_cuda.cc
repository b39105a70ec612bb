#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nn/cuda/cuda_device.h"
#include "train/open_gpu.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int index, std::FILE* notes) {
  auto device = cuda::MakeCudaDevice(index, notes);
  if (device.ok()) return device;
  return absl::Status(device.status().code(), absl::StrCat("run.device CUDA: ", device.status().message()));
}

}  // namespace halftone
