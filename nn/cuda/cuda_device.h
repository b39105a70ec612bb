// A GPU as a Device, with all kernels that there are for it.
#ifndef HALFTONE_NN_CUDA_CUDA_DEVICE_H_
#define HALFTONE_NN_CUDA_CUDA_DEVICE_H_

#include <cstdio>
#include <memory>

#include "absl/status/statusor.h"
#include "tensor/device.h"

namespace halftone::cuda {

// GPU `index`, from 0. Errors, a line each: there is none of this index, or none at all; a driver older than
// the toolkit that this was built with.
absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice(int index, std::FILE* notes);

}  // namespace halftone::cuda

#endif  // HALFTONE_NN_CUDA_CUDA_DEVICE_H_
