// The device that a config names.
#ifndef HALFTONE_TRAIN_OPEN_DEVICE_H_
#define HALFTONE_TRAIN_OPEN_DEVICE_H_

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tensor/device.h"
#include "train/proto/train_config.pb.h"

namespace halftone {

// GPU `index`. Errors, a line each: a program that was built without CUDA; no such GPU; a driver that is too
// old.
absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int index, std::FILE* notes);

// `notes` as Device has them. Errors: OpenGpu's.
absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const RunConfig& config, std::FILE* notes);

// One line of what computes: the processor as DescribeCpu has it, with the threads in use; or the GPU.
std::string DescribeDevice(const Device& device);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_OPEN_DEVICE_H_
