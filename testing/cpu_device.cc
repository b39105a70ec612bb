#include "testing/device.h"

namespace halftone {

Device& TestDevice() {
  static Device& device = *new Device;
  return device;
}

bool LimitMemory(size_t) { return false; }

}  // namespace halftone
