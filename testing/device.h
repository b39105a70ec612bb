// The device that a test runs on: which one, device_test says (device.bzl).
#ifndef HALFTONE_TESTING_DEVICE_H_
#define HALFTONE_TESTING_DEVICE_H_

#include "tensor/device.h"

namespace halftone {

// The same one for a whole process.
Device& TestDevice();

}  // namespace halftone

#endif  // HALFTONE_TESTING_DEVICE_H_
