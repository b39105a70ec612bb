#include "nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

class FunctionSchedule : public Schedule {
 public:
  explicit FunctionSchedule(std::function<StepOptions(int64_t step)> at) : at_(std::move(at)) {}
  StepOptions At(int64_t step) const override {
    HALFTONE_CHECK(step >= 0);
    return at_(step);
  }

 private:
  std::function<StepOptions(int64_t)> at_;
};

std::unique_ptr<Schedule> FromFunction(std::function<StepOptions(int64_t step)> at) {
  return std::make_unique<FunctionSchedule>(std::move(at));
}

absl::Status Refuse(const char* field, double value, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("schedule: %s is %.9g, expected %s", field, value, expected));
}

absl::Status CheckCommon(double base_rate, int64_t total_steps) {
  if (!(base_rate >= 0 && std::isfinite(base_rate))) {
    return Refuse("the base learning rate", base_rate, "a finite number, at least 0");
  }
  if (total_steps < 1) return Refuse("total_steps", total_steps, "at least 1 step");
  return absl::OkStatus();
}

absl::Status CheckFraction(const char* field, double value) {
  return value >= 0 && value <= 1 ? absl::OkStatus() : Refuse(field, value, "a number from 0 to 1");
}

absl::Status CheckGamma(double gamma) {
  return gamma > 0 && std::isfinite(gamma) ? absl::OkStatus()
                                           : Refuse("gamma", gamma, "a positive finite number");
}

// From 0 to 1 while `progress` goes from 0 to 1; both stay there beyond.
double Linear(double progress) { return std::clamp(progress, 0.0, 1.0); }
double Cosine(double progress) { return 0.5 * (1 - std::cos(std::numbers::pi * Linear(progress))); }

double Mix(double from, double to, double progress) { return from + (to - from) * progress; }

}  // namespace

absl::StatusOr<std::unique_ptr<Schedule>> MakeConstantSchedule(const ConstantScheduleOptions&,
                                                               double base_rate, int64_t total_steps) {
  RETURN_IF_ERROR(CheckCommon(base_rate, total_steps));
  return FromFunction([=](int64_t) { return StepOptions{.learning_rate = base_rate}; });
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeStepSchedule(const StepScheduleOptions& options,
                                                           double base_rate, int64_t total_steps) {
  RETURN_IF_ERROR(CheckCommon(base_rate, total_steps));
  RETURN_IF_ERROR(CheckGamma(options.gamma));
  if (options.step_size < 1) return Refuse("step_size", options.step_size, "at least 1 step");
  return FromFunction([=](int64_t step) {
    const int64_t drops = std::min(step, total_steps) / options.step_size;
    return StepOptions{.learning_rate = base_rate * std::pow(options.gamma, drops)};
  });
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeMultiStepSchedule(const MultiStepScheduleOptions& options,
                                                                double base_rate, int64_t total_steps) {
  RETURN_IF_ERROR(CheckCommon(base_rate, total_steps));
  RETURN_IF_ERROR(CheckGamma(options.gamma));
  if (options.milestones.empty()) {
    return absl::InvalidArgumentError("schedule: milestones is empty, expected at least one step's number");
  }
  int64_t last = 0;
  for (const int64_t milestone : options.milestones) {
    if (milestone <= last) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "schedule: milestones has %d after %d, expected rising steps, each at least 1", milestone, last));
    }
    last = milestone;
  }
  return FromFunction([=](int64_t step) {
    const auto& m = options.milestones;
    const int64_t drops = std::upper_bound(m.begin(), m.end(), std::min(step, total_steps)) - m.begin();
    return StepOptions{.learning_rate = base_rate * std::pow(options.gamma, drops)};
  });
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeCosineSchedule(const CosineScheduleOptions& options,
                                                             double base_rate, int64_t total_steps) {
  return MakeLinearWarmupSchedule({.decay = Decay::kCosine, .final_fraction = options.final_fraction},
                                  base_rate, total_steps);
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeLinearWarmupSchedule(const LinearWarmupScheduleOptions& options,
                                                                   double base_rate, int64_t total_steps) {
  RETURN_IF_ERROR(CheckCommon(base_rate, total_steps));
  RETURN_IF_ERROR(CheckFraction("initial_fraction", options.initial_fraction));
  RETURN_IF_ERROR(CheckFraction("final_fraction", options.final_fraction));
  const int64_t warmup = options.warmup_steps;
  if (warmup < 0 || warmup > total_steps) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "schedule: warmup_steps is %d, expected 0 to all %d steps of this training", warmup, total_steps));
  }
  return FromFunction([=](int64_t step) {
    double fraction = 1;
    if (step < warmup) {
      fraction = Mix(options.initial_fraction, 1, Linear(static_cast<double>(step) / warmup));
    } else if (options.decay != Decay::kConstant) {
      const double progress =
          warmup == total_steps ? 1 : static_cast<double>(step - warmup) / (total_steps - warmup);
      fraction = Mix(1, options.final_fraction,
                     options.decay == Decay::kLinear ? Linear(progress) : Cosine(progress));
    }
    return StepOptions{.learning_rate = base_rate * fraction};
  });
}

absl::StatusOr<std::unique_ptr<Schedule>> MakeOneCycleSchedule(const OneCycleScheduleOptions& options,
                                                               double base_rate, int64_t total_steps) {
  RETURN_IF_ERROR(CheckCommon(base_rate, total_steps));
  if (!(options.warmup_fraction > 0 && options.warmup_fraction < 1)) {
    return Refuse("warmup_fraction", options.warmup_fraction, "a number between 0 and 1, both excluded");
  }
  const auto check_divisor = [](const char* field, double value) {
    return value == 0 || (value >= 1 && std::isfinite(value))
               ? absl::OkStatus()
               : Refuse(field, value, "0, or a finite number from 1");
  };
  RETURN_IF_ERROR(check_divisor("initial_divisor", options.initial_divisor));
  RETURN_IF_ERROR(check_divisor("final_divisor", options.final_divisor));
  const auto check_momentum = [](const char* field, double value) {
    return value >= 0 && value < 1 ? absl::OkStatus() : Refuse(field, value, "a number from 0 to below 1");
  };
  RETURN_IF_ERROR(check_momentum("min_momentum", options.min_momentum));
  RETURN_IF_ERROR(check_momentum("max_momentum", options.max_momentum));
  if (options.min_momentum > options.max_momentum) {
    return absl::InvalidArgumentError(
        absl::StrFormat("schedule: min_momentum is %.9g, expected at most max_momentum, which is %.9g",
                        options.min_momentum, options.max_momentum));
  }

  const double up = std::max(1.0, std::floor(options.warmup_fraction * total_steps));
  const double down = total_steps - up;
  const bool from_zero = options.initial_divisor == 0, to_zero = options.final_divisor == 0;
  const double initial = from_zero ? 0 : 1 / options.initial_divisor;
  const double final = to_zero ? 0 : 1 / options.final_divisor;
  return FromFunction([=](int64_t step) {
    // Zero itself lies one step outside the training, where no step is lost to it; another end is its first
    // or last step.
    const bool rising = step < up;
    double progress;  // from the low end to the peak
    if (rising) {
      progress = from_zero ? (step + 1) / up : up == 1 ? 1 : step / (up - 1);
    } else {
      progress = to_zero ? (total_steps - step) / down : (total_steps - 1 - step) / down;
    }
    progress = options.anneal == Anneal::kLinear ? Linear(progress) : Cosine(progress);
    StepOptions at{.learning_rate = base_rate * Mix(rising ? initial : final, 1, progress)};
    if (options.max_momentum > 0) at.momentum = Mix(options.max_momentum, options.min_momentum, progress);
    return at;
  });
}

}  // namespace halftone
