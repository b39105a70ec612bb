#include "tensor/device.h"

#include <cstdio>

namespace halftone {

void Device::SayOnce(absl::string_view line) {
  absl::MutexLock lock(&mutex_);
  if (said_.emplace(line).second) std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace halftone
