// All kernels that this project has for GPUs, in one table.
#ifndef HALFTONE_NN_CUDA_INSTALL_H_
#define HALFTONE_NN_CUDA_INSTALL_H_

#include "tensor/device.h"

namespace halftone::cuda {

void InstallKernels(Device& device);

}  // namespace halftone::cuda

#endif  // HALFTONE_NN_CUDA_INSTALL_H_
