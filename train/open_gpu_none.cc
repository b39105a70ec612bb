#include "absl/status/status.h"
#include "train/open_device.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int, std::FILE*) {
  return absl::UnimplementedError(
      "this program was built for the CPU alone; build it with --config=cuda, or use the CPU");
}

}  // namespace halftone
