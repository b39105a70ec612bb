#include "scaler/grad_scaler.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

absl::Status Refuse(const char* field, double value, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("loss scale: %s is %.9g, expected %s", field, value, expected));
}

bool PositiveAndFinite(float x) { return x > 0 && std::isfinite(x); }

}  // namespace

absl::StatusOr<GradScaler> GradScaler::Create(const GradScalerOptions& o) {
  if (!PositiveAndFinite(o.initial)) return Refuse("initial", o.initial, "a positive finite number");
  if (!(o.growth_factor > 1 && std::isfinite(o.growth_factor))) {
    return Refuse("growth_factor", o.growth_factor, "a finite number above 1");
  }
  if (!(o.backoff_factor > 0 && o.backoff_factor < 1)) {
    return Refuse("backoff_factor", o.backoff_factor, "a number between 0 and 1, both excluded");
  }
  if (o.growth_interval < 1) return Refuse("growth_interval", o.growth_interval, "at least 1 step");
  if (!PositiveAndFinite(o.min_scale)) return Refuse("min_scale", o.min_scale, "a positive finite number");
  if (!PositiveAndFinite(o.max_scale)) return Refuse("max_scale", o.max_scale, "a positive finite number");
  if (o.min_scale > o.max_scale) {
    return absl::InvalidArgumentError(
        absl::StrFormat("loss scale: min_scale is %.9g, expected at most max_scale, which is %.9g",
                        o.min_scale, o.max_scale));
  }
  if (o.initial < o.min_scale || o.initial > o.max_scale) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: initial is %.9g, expected a value within min_scale %.9g and max_scale %.9g", o.initial,
        o.min_scale, o.max_scale));
  }
  return GradScaler(o);
}

GradScaler::GradScaler(const GradScalerOptions& options)
    : options_(options), state_{.scale = options.enabled ? options.initial : 1} {}

bool GradScaler::Update(bool all_finite) {
  ++(all_finite ? state_.steps : state_.skipped);
  if (!options_.enabled) return all_finite;

  const auto multiply = [this](double factor) {
    const float next = static_cast<float>(state_.scale * factor);
    if (std::isfinite(next)) state_.scale = std::clamp(next, options_.min_scale, options_.max_scale);
    state_.growth_tracker = 0;
  };
  if (!all_finite) {
    multiply(options_.backoff_factor);
  } else if (++state_.growth_tracker == options_.growth_interval) {
    multiply(options_.growth_factor);
  }
  return all_finite;
}

absl::Status GradScaler::Restore(const GradScalerState& state) {
  const float low = options_.enabled ? options_.min_scale : 1;
  const float high = options_.enabled ? options_.max_scale : 1;
  if (!(state.scale >= low && state.scale <= high)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: the saved scale is %.9g, expected %.9g to %.9g with this run's options%s", state.scale,
        low, high, options_.enabled ? "" : " (loss scaling is disabled)"));
  }
  const int limit = options_.enabled ? options_.growth_interval : 1;
  if (state.growth_tracker < 0 || state.growth_tracker >= limit) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: the saved growth_tracker is %d, expected 0 to %d with this run's options",
        state.growth_tracker, limit - 1));
  }
  if (state.steps < 0 || state.skipped < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("loss scale: saved counts are %d steps and %d skipped, expected none below 0",
                        state.steps, state.skipped));
  }
  state_ = state;
  return absl::OkStatus();
}

}  // namespace halftone
