#include "nn/cuda/cuda_device.h"

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "testing/device.h"

namespace halftone {
namespace {

struct Opened {
  Device* device = nullptr;  // null: there is no GPU, for the reason
  std::string reason;
};

const Opened& Gpu() {
  static const Opened opened = [] {
    auto device = cuda::MakeCudaDevice(0, stderr);
    return device.ok() ? Opened{.device = device->release()}
                       : Opened{.reason = std::string(device.status().message())};
  }();
  return opened;
}

// Without a GPU every test counts as skipped, and says why; with HALFTONE_REQUIRE_GPU=1 as failed.
class NeedsGpu : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo&) override {
    if (Gpu().device != nullptr) return;
    const char* required = std::getenv("HALFTONE_REQUIRE_GPU");
    if (required != nullptr && *required == '1') FAIL() << Gpu().reason;
    GTEST_SKIP() << Gpu().reason;
  }
};
[[maybe_unused]] const bool kListens = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new NeedsGpu);
  return true;
}();

}  // namespace

Device& TestDevice() {
  // For fixtures, which are made before their test is skipped.
  static Device& none = *new Device(/*notes=*/nullptr);
  return Gpu().device == nullptr ? none : *Gpu().device;
}

bool LimitMemory(size_t) { return false; }

}  // namespace halftone
