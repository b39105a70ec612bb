// What differs between a program built with --config=cuda and one without.
#ifndef HALFTONE_TRAIN_OPEN_GPU_H_
#define HALFTONE_TRAIN_OPEN_GPU_H_

#include <cstdio>
#include <memory>

#include "absl/status/statusor.h"
#include "tensor/device.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int index, std::FILE* notes);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_OPEN_GPU_H_
