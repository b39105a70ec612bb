#include <memory>

#include "base/parallel.h"
#include "nn/cuda/install.h"
#include "tensor/cuda/simt/simt.h"
#include "testing/device.h"
#include "testing/simt_libraries.h"

namespace halftone {

Device& TestDevice() {
  static Device& device = *[] {
    SetNumThreads(1);  // what the host computes is small, and starting threads would take longer
    auto* made = new Device(std::make_unique<simt::SimtAccelerator>(), stderr);
    cuda::InstallKernels(*made);
    InstallSimtLibraries(*made);
    return made;
  }();
  return device;
}

bool LimitMemory(size_t bytes) {
  simt::Of(TestDevice()).set_free_bytes(bytes);
  return true;
}

}  // namespace halftone
