#include "quant/allocate.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

absl::Status Check(absl::Span<const std::vector<FormatChoice>> layers, double budget) {
  double least = 0;
  for (const std::vector<FormatChoice>& choices : layers) {
    if (choices.empty()) return absl::InvalidArgumentError("a layer has no format to choose from");
    double smallest = choices[0].bytes;
    for (const FormatChoice& c : choices) {
      if (!std::isfinite(c.cost) || !std::isfinite(c.bytes) || c.bytes < 0) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "a choice costs %g and takes %g bytes; expected finite numbers", c.cost, c.bytes));
      }
      smallest = std::min(smallest, c.bytes);
    }
    least += smallest;
  }
  if (!(least <= budget)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "a budget of %.0f bytes is too small: the smallest formats take %.0f", budget, least));
  }
  return absl::OkStatus();
}

// The smallest choice; of several the cheapest.
size_t Smallest(const std::vector<FormatChoice>& choices) {
  return static_cast<size_t>(std::min_element(choices.begin(), choices.end(),
                                              [](const FormatChoice& a, const FormatChoice& b) {
                                                return a.bytes != b.bytes ? a.bytes < b.bytes
                                                                          : a.cost < b.cost;
                                              }) -
                             choices.begin());
}

struct Step {
  size_t layer = 0, choice = 0;
  double saved_per_byte = 0;
};

// The best step up from where a layer is: on its convex hull by construction, for none saves more per byte.
Step BestStep(absl::Span<const std::vector<FormatChoice>> layers, const std::vector<size_t>& chosen,
              double left) {
  Step best;
  for (size_t l = 0; l < layers.size(); ++l) {
    const FormatChoice& now = layers[l][chosen[l]];
    for (size_t c = 0; c < layers[l].size(); ++c) {
      const FormatChoice& next = layers[l][c];
      const double bytes = next.bytes - now.bytes, saved = now.cost - next.cost;
      if (saved <= 0 || bytes > left) continue;
      const double rate = bytes <= 0 ? HUGE_VAL : saved / bytes;
      if (rate > best.saved_per_byte) best = {l, c, rate};
    }
  }
  return best;
}

}  // namespace

absl::StatusOr<std::vector<size_t>> AllocateFormats(absl::Span<const std::vector<FormatChoice>> layers,
                                                    double budget) {
  RETURN_IF_ERROR(Check(layers, budget));
  std::vector<size_t> chosen;
  for (const std::vector<FormatChoice>& choices : layers) chosen.push_back(Smallest(choices));
  // Each step lowers the sum of the costs, and there are finitely many allocations.
  for (;;) {
    double left = budget;
    for (size_t l = 0; l < layers.size(); ++l) left -= layers[l][chosen[l]].bytes;
    const Step step = BestStep(layers, chosen, left);
    if (step.saved_per_byte <= 0) return chosen;
    chosen[step.layer] = step.choice;
  }
}

}  // namespace halftone
