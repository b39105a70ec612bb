#include <memory>

#include "nn/cuda/install.h"
#include "tensor/cuda/simt/simt.h"
#include "testing/device.h"
#include "testing/simt_libraries.h"

namespace halftone {

Device& TestDevice() {
  static Device& device = *[] {
    auto* made = new Device(std::make_unique<simt::SimtAccelerator>(), stderr);
    cuda::InstallKernels(*made);
    InstallSimtLibraries(*made);
    return made;
  }();
  return device;
}

}  // namespace halftone
