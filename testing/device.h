// The device that a test runs on: which one, device_test says (device.bzl).
#ifndef HALFTONE_TESTING_DEVICE_H_
#define HALFTONE_TESTING_DEVICE_H_

#include "tensor/device.h"

namespace halftone {

// The same one for a whole process.
Device& TestDevice();

// Leaves it so much memory beside what is allocated; false where that cannot be said.
bool LimitMemory(size_t bytes);

}  // namespace halftone

#endif  // HALFTONE_TESTING_DEVICE_H_
