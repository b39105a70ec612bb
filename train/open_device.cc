#include "train/open_device.h"

#include "absl/strings/str_cat.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "train/open_gpu.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const RunConfig& config, std::FILE* notes) {
  if (config.device() == RunConfig::CUDA) return OpenGpu(config.device_index(), notes);
  return std::make_unique<Device>(notes);
}

std::string DescribeDevice(const Device& device) {
  if (device.accelerator() != nullptr) return device.accelerator()->Name();
  return absl::StrCat(DescribeCpu(), ", ", NumThreads(), " threads");
}

}  // namespace halftone
