// What cuDNN and cuBLASLt compute on a GPU, for a device whose kernels the host runs: by the host's
// implementations, when the device comes to it. So a whole training step waits for nothing there either, as
// on a GPU.
#ifndef HALFTONE_TESTING_SIMT_LIBRARIES_H_
#define HALFTONE_TESTING_SIMT_LIBRARIES_H_

#include "tensor/device.h"

namespace halftone {

void InstallSimtLibraries(Device& device);

}  // namespace halftone

#endif  // HALFTONE_TESTING_SIMT_LIBRARIES_H_
