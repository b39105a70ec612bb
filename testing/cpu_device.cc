#include "testing/device.h"

namespace halftone {

Device& TestDevice() {
  static Device& device = *new Device;
  return device;
}

}  // namespace halftone
