#include "absl/status/status.h"
#include "train/open_gpu.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int, std::FILE*) {
  return absl::UnimplementedError(
      "run.device is CUDA, but this program was built for the CPU alone; build it with --config=cuda, or set "
      "run { device: CPU }");
}

}  // namespace halftone
