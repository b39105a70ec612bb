#include "scaler/loss_scale.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/unknown_name.h"

namespace halftone {
namespace {

constexpr LossScalePreset kPresets[] = {
    {.name = "default",
     .about = "PyTorch's numbers: from 2^16, doubled after 2000 good steps",
     .options = {}},
    {.name = "conservative",
     .about = "from 2^15, times 1.5 after 5000 good steps: few overflows, slow to recover from one",
     .options = {.initial = 32768, .growth_factor = 1.5, .growth_interval = 5000}},
    {.name = "aggressive",
     .about = "from 2^17, times 2.5 after 1000 good steps: as large as can be, at the price of skipped steps",
     .options = {.initial = 131072, .growth_factor = 2.5, .growth_interval = 1000}},
    {.name = "classic",
     .about = "from 2^15, doubled after 2000 good steps, as in the first papers",
     .options = {.initial = 32768}},
};

bool PositiveAndFinite(float x) { return x > 0 && std::isfinite(x); }

absl::Status Refuse(const char* field, double value, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("loss scale: %s is %.9g, expected %s", field, value, expected));
}

absl::Status CheckOptions(const LossScaleOptions& o) {
  if (!PositiveAndFinite(o.initial)) return Refuse("initial", o.initial, "a positive finite number");
  if (!(o.growth_factor > 1 && std::isfinite(o.growth_factor))) {
    return Refuse("growth_factor", o.growth_factor, "a finite number above 1");
  }
  if (!(o.backoff_factor > 0 && o.backoff_factor < 1)) {
    return Refuse("backoff_factor", o.backoff_factor, "a number between 0 and 1, both excluded");
  }
  if (o.growth_interval < 1) return Refuse("growth_interval", o.growth_interval, "at least 1 step");
  if (o.hysteresis < 1) return Refuse("hysteresis", o.hysteresis, "at least 1 overflow");
  if (o.floor_patience < 1) return Refuse("floor_patience", o.floor_patience, "at least 1 step");
  if (o.fallback_steps < 1) return Refuse("fallback_steps", o.fallback_steps, "at least 1 step");
  if (!PositiveAndFinite(o.min_scale)) return Refuse("min_scale", o.min_scale, "a positive finite number");
  if (!PositiveAndFinite(o.max_scale)) return Refuse("max_scale", o.max_scale, "a positive finite number");
  if (o.min_scale > o.max_scale) {
    return absl::InvalidArgumentError(
        absl::StrFormat("loss scale: min_scale is %.9g, expected at most max_scale, which is %.9g",
                        o.min_scale, o.max_scale));
  }
  if (o.dynamic && (o.initial < o.min_scale || o.initial > o.max_scale)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: initial is %.9g, expected a value within min_scale %.9g and max_scale %.9g", o.initial,
        o.min_scale, o.max_scale));
  }
  return absl::OkStatus();
}

absl::Status CheckSaved(const char* field, int64_t value, int64_t high) {
  if (value >= 0 && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "loss scale: the saved %s is %d, expected 0 to %d with this run's options", field, value, high));
}

}  // namespace

absl::StatusOr<LossScale> LossScale::Create(const LossScaleOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  return LossScale(options);
}

LossScale::LossScale(const LossScaleOptions& options) : options_(options) {
  loss_scale_internal::StartFrom(options_, state_, options.enabled ? options.initial : 1,
                                 /*fallback_left=*/0);
}

absl::Status LossScale::Restore(const LossScaleState& s) {
  const bool may_fall_back = options_.enabled && options_.floor_policy == FloorPolicy::kFallback;
  RETURN_IF_ERROR(CheckSaved("fallback_left", s.fallback_left, may_fall_back ? options_.fallback_steps : 0));
  const bool scales = options_.enabled && s.fallback_left == 0;
  const bool adjusts = scales && options_.dynamic;
  const float low = !scales ? 1 : adjusts ? options_.min_scale : options_.initial;
  const float high = !scales ? 1 : adjusts ? options_.max_scale : options_.initial;
  if (!(s.scale >= low && s.scale <= high)) {
    const char* why = !options_.enabled ? " (loss scaling is disabled)" : !scales ? " (in a fallback)" : "";
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: the saved scale is %.9g, expected %.9g to %.9g with this run's options%s", s.scale, low,
        high, why));
  }
  RETURN_IF_ERROR(CheckSaved("growth_tracker", s.growth_tracker, adjusts ? options_.growth_interval - 1 : 0));
  RETURN_IF_ERROR(CheckSaved("hysteresis_tracker", s.hysteresis_tracker, options_.hysteresis));
  if (s.steps < 0 || s.skipped < 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "loss scale: saved counts are %d steps and %d skipped, expected none below 0", s.steps, s.skipped));
  }
  RETURN_IF_ERROR(CheckSaved("skipped_in_a_row", s.skipped_in_a_row, s.skipped));
  state_ = s;
  return absl::OkStatus();
}

absl::Span<const LossScalePreset> LossScalePresets() { return kPresets; }

absl::StatusOr<LossScaleOptions> FindLossScalePreset(absl::string_view name) {
  for (const LossScalePreset& preset : kPresets) {
    if (preset.name == name) return preset.options;
  }
  return UnknownName("loss scale preset", name, kPresets);
}

}  // namespace halftone
