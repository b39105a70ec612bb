#include "train/open_device.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/cpu.h"
#include "base/parallel.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const RunConfig& config, std::FILE* notes) {
  if (config.device() != RunConfig::CUDA) return std::make_unique<Device>(notes);
  absl::StatusOr<std::unique_ptr<Device>> gpu = OpenGpu(config.device_index(), notes);
  if (gpu.ok()) return gpu;
  return absl::Status(gpu.status().code(), absl::StrCat("run.device CUDA: ", gpu.status().message()));
}

std::string DescribeDevice(const Device& device) {
  if (device.accelerator() != nullptr) return device.accelerator()->Name();
  return absl::StrCat(DescribeCpu(), ", ", NumThreads(), " threads");
}

}  // namespace halftone
