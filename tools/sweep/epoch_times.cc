#include "tools/sweep/epoch_times.h"

#include "absl/strings/str_cat.h"

namespace halftone::sweep {

std::array<std::string, 4> EpochTimes::Keys(const Run& run) {
  const std::string model_and_data = absl::StrCat(run.model, " ", run.dataset);
  return {absl::StrCat(model_and_data, " ", run.config.precision().recipe()), model_and_data, run.model, ""};
}

void EpochTimes::Add(const Run& run, double seconds) {
  for (const std::string& key : Keys(run)) {
    Mean& mean = means_[key];
    mean.sum += seconds;
    ++mean.count;
  }
}

std::optional<double> EpochTimes::Seconds(const Run& run) const {
  for (const std::string& key : Keys(run)) {
    const auto mean = means_.find(key);
    if (mean != means_.end()) return mean->second.sum / mean->second.count;
  }
  return std::nullopt;
}

}  // namespace halftone::sweep
