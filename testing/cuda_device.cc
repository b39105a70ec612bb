#include "nn/cuda/cuda_device.h"

#include <cstdlib>

#include "gtest/gtest.h"
#include "testing/device.h"

namespace halftone {
namespace {

// Without a GPU every test of the program counts as skipped, and says why. HALFTONE_REQUIRE_GPU=1 makes it
// fail.
class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    const auto device = cuda::MakeCudaDevice(0, stderr);
    if (device.ok()) return;
    const char* required = std::getenv("HALFTONE_REQUIRE_GPU");
    if (required != nullptr && *required == '1') FAIL() << device.status();
    GTEST_SKIP() << device.status();
  }
};
[[maybe_unused]] const auto* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace

Device& TestDevice() {
  static Device& device = *cuda::MakeCudaDevice(0, stderr).value().release();
  return device;
}

}  // namespace halftone
