#include "tensor/device.h"

#include <algorithm>

namespace halftone {

void Device::SayOnce(absl::string_view line) {
  absl::MutexLock lock(&mutex_);
  if (std::find(said_.begin(), said_.end(), line) != said_.end()) return;
  said_.emplace_back(line);
  if (notes_ != nullptr) std::fprintf(notes_, "%s\n", said_.back().c_str());
}

std::vector<std::string> Device::Said() const {
  absl::MutexLock lock(&mutex_);
  return said_;
}

}  // namespace halftone
