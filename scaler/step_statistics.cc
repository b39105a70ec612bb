#include "scaler/step_statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

double Ratio(double a, int64_t b) { return b > 0 ? a / static_cast<double>(b) : 0; }

void AddStep(const StepRecord& record, StepSummary& s) {
  ++s.steps;
  ++s.by_reason[static_cast<size_t>(record.skip)];
  s.scale_increases += record.update.status == UpdateStatus::kScaleIncreased;
  s.scale_decreases += record.update.status == UpdateStatus::kScaleDecreased;
  s.scale = record.update.new_scale;
  if (std::isfinite(record.loss)) {
    s.loss_sum += record.loss;
    ++s.losses;
  }
  if (record.skip == SkipReason::kNone && std::isfinite(record.grad_norm)) {
    s.grad_norm_sum += record.grad_norm;
    ++s.grad_norms;
    s.max_grad_norm = std::max(s.max_grad_norm, record.grad_norm);
  }
}

// `a` and the summary of the steps after it, in one.
StepSummary Merge(StepSummary a, const StepSummary& b) {
  a.steps += b.steps;
  for (size_t i = 0; i < kSkipReasons; ++i) a.by_reason[i] += b.by_reason[i];
  a.scale_increases += b.scale_increases;
  a.scale_decreases += b.scale_decreases;
  a.scale = b.scale;
  a.loss_sum += b.loss_sum;
  a.losses += b.losses;
  a.grad_norm_sum += b.grad_norm_sum;
  a.grad_norms += b.grad_norms;
  a.max_grad_norm = std::max(a.max_grad_norm, b.max_grad_norm);
  return a;
}

absl::Status Refuse(const char* field, double value, const char* expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("step statistics: %s is %g, expected %s", field, value, expected));
}

absl::Status CheckBound(const char* field, double value) {
  return value >= 0 ? absl::OkStatus() : Refuse(field, value, "a number from 0 on");
}

}  // namespace

double StepSummary::overflow_rate() const {
  return Ratio(static_cast<double>(by_reason[static_cast<size_t>(SkipReason::kNonFiniteGradients)]), steps);
}
double StepSummary::avg_loss() const { return Ratio(loss_sum, losses); }
double StepSummary::avg_grad_norm() const { return Ratio(grad_norm_sum, grad_norms); }

absl::StatusOr<StepStatistics> StepStatistics::Create(const StepStatisticsOptions& o,
                                                      std::vector<std::string> parameters) {
  if (o.window < 1) return Refuse("window", o.window, "at least 1 step");
  if (o.short_window < 1) return Refuse("short_window", o.short_window, "at least 1 step");
  if (o.max_summaries < 2 || o.max_summaries % 2 != 0) {
    return Refuse("max_summaries", o.max_summaries, "an even number from 2 on");
  }
  RETURN_IF_ERROR(CheckBound("max_overflow_rate", o.max_overflow_rate));
  RETURN_IF_ERROR(CheckBound("max_recent_overflow_rate", o.max_recent_overflow_rate));
  RETURN_IF_ERROR(CheckBound("max_grad_norm", o.max_grad_norm));
  RETURN_IF_ERROR(CheckBound("floor_scale", o.floor_scale));
  RETURN_IF_ERROR(CheckBound("max_loss_z", o.max_loss_z));
  RETURN_IF_ERROR(CheckBound("max_zero_share", o.max_zero_share));
  return StepStatistics(o, std::move(parameters));
}

StepStatistics::StepStatistics(const StepStatisticsOptions& options, std::vector<std::string> parameters)
    : options_(options), parameters_(std::move(parameters)) {
  state_.summary_steps = options.window;
}

void StepStatistics::Add(const StepRecord& record) {
  warnings_.clear();
  Remember(record);
  Judge(record);
}

void StepStatistics::Remember(const StepRecord& record) {
  AddStep(record, state_.totals);

  std::deque<RecentStep>& recent = state_.recent;
  if (recent.size() == static_cast<size_t>(options_.window)) recent.pop_front();
  recent.push_back({record.loss, record.grad_norm, record.skip, record.update.old_scale});

  std::vector<StepSummary>& all = state_.summaries;
  if (all.empty() || all.back().steps == state_.summary_steps) {
    if (all.size() == static_cast<size_t>(options_.max_summaries)) {
      for (size_t i = 0; i < all.size() / 2; ++i) all[i] = Merge(all[2 * i], all[2 * i + 1]);
      all.resize(all.size() / 2);
      state_.summary_steps *= 2;
    }
    all.push_back({.first_step = state_.totals.steps});
  }
  AddStep(record, all.back());
}

double StepStatistics::RecentOverflowRate() const {
  const auto overflows = std::count_if(state_.recent.begin(), state_.recent.end(), [](const RecentStep& s) {
    return s.skip == SkipReason::kNonFiniteGradients;
  });
  return Ratio(static_cast<double>(overflows), static_cast<int64_t>(state_.recent.size()));
}

// 0 until there are twice as many losses to compare with as are compared.
double StepStatistics::LossZ() const {
  std::vector<double> losses;
  for (const RecentStep& step : state_.recent) {
    if (std::isfinite(step.loss)) losses.push_back(step.loss);
  }
  const size_t n = static_cast<size_t>(options_.short_window);
  if (losses.size() < 3 * n) return 0;
  const auto split = losses.end() - static_cast<std::ptrdiff_t>(n);
  const auto mean_of = [](auto from, auto to) {
    double sum = 0;
    for (auto it = from; it != to; ++it) sum += *it;
    return sum / static_cast<double>(to - from);
  };
  const double before = mean_of(losses.begin(), split), now = mean_of(split, losses.end());
  double squares = 0;
  for (auto it = losses.begin(); it != split; ++it) squares += (*it - before) * (*it - before);
  const double deviation = std::sqrt(squares / static_cast<double>(split - losses.begin()));
  const double unit = std::max(deviation, 1e-3 * std::abs(before));
  return unit > 0 ? (now - before) / unit : 0;
}

bool StepStatistics::Watch(WarningKind kind, bool raised, double value, double bound, size_t parameter,
                           absl::FunctionRef<std::string()> text) {
  if (bound <= 0) return false;
  if (raised) return !(value < bound / 2);
  if (!(value > bound)) return false;
  warnings_.push_back(
      {kind, total_steps(), value, parameter, absl::StrCat("step ", total_steps(), ": ", text())});
  return true;
}

void StepStatistics::Judge(const StepRecord& record) {
  const auto watch = [this](WarningKind kind, double value, double bound,
                            absl::FunctionRef<std::string()> text) {
    bool& raised = state_.raised[static_cast<size_t>(kind)];
    raised = Watch(kind, raised, value, bound, 0, text);
  };
  if (total_steps() >= options_.window) {
    const double rate = totals().overflow_rate();
    watch(WarningKind::kOverflowRate, rate, options_.max_overflow_rate, [&] {
      return absl::StrFormat(
          "%.1f%% of all steps overflowed (bound %.1f%%): let the loss scale grow more slowly "
          "(preset conservative), or train in bf16",
          100 * rate, 100 * options_.max_overflow_rate);
    });
  }
  if (recent().size() == static_cast<size_t>(options_.window)) {
    const double rate = RecentOverflowRate();
    watch(WarningKind::kRecentOverflowRate, rate, options_.max_recent_overflow_rate, [&] {
      return absl::StrFormat(
          "%.1f%% of the last %d steps overflowed (bound %.1f%%): lower the learning rate or clip "
          "gradients if the loss rises too, else let the loss scale grow more slowly",
          100 * rate, options_.window, 100 * options_.max_recent_overflow_rate);
    });
  }
  watch(WarningKind::kScaleAtFloor, record.update.new_scale <= options_.floor_scale ? 1 : 0,
        options_.floor_scale > 0 ? 0.5 : 0, [&] {
          return absl::StrFormat(
              "the loss scale is down to %g and can fall no further: lower the learning rate, look "
              "for the layer that overflows, or train in bf16",
              record.update.new_scale);
        });
  const double z = LossZ();
  watch(WarningKind::kLossDiverging, z, options_.max_loss_z, [&] {
    return absl::StrFormat(
        "the loss is diverging: the mean of the last %d is %.1f standard deviations above those "
        "before (bound %g): lower the learning rate or clip gradients",
        options_.short_window, z, options_.max_loss_z);
  });
  // The gradients of a skipped step say nothing but that they overflowed.
  if (record.skip != SkipReason::kNone) return;
  watch(WarningKind::kGradNorm, record.grad_norm, options_.max_grad_norm, [&] {
    return absl::StrFormat("the gradient norm is %g (bound %g): clip gradients, or lower the learning rate",
                           record.grad_norm, options_.max_grad_norm);
  });
  if (state_.zeros_raised.size() < record.zero_shares.size()) {
    state_.zeros_raised.resize(record.zero_shares.size());
  }
  for (size_t i = 0; i < record.zero_shares.size(); ++i) {
    const double share = record.zero_shares[i];
    state_.zeros_raised[i] =
        Watch(WarningKind::kZeroGradients, state_.zeros_raised[i], share, options_.max_zero_share, i, [&] {
          const std::string name = i < parameters_.size() ? parameters_[i] : absl::StrCat("parameter ", i);
          return absl::StrFormat(
              "%.1f%% of the gradients of %s are zero (bound %.1f%%), perhaps by underflow: raise "
              "the loss scale, or train in bf16",
              100 * share, name, 100 * options_.max_zero_share);
        });
  }
}

absl::Status StepStatistics::Restore(const StepStatisticsState& state) {
  const int64_t multiple = state.summary_steps / options_.window;
  if (multiple < 1 || state.summary_steps % options_.window != 0 || (multiple & (multiple - 1)) != 0) {
    return Refuse("the saved summary_steps", static_cast<double>(state.summary_steps),
                  "the window times a power of two");
  }
  if (state.summaries.size() > static_cast<size_t>(options_.max_summaries)) {
    return Refuse("the saved number of summaries", static_cast<double>(state.summaries.size()),
                  "at most max_summaries");
  }
  int64_t steps = 0;
  for (const StepSummary& s : state.summaries) {
    const bool last = &s == &state.summaries.back();
    if (s.first_step != steps + 1 || s.steps < 1 || s.steps > state.summary_steps ||
        (!last && s.steps != state.summary_steps)) {
      return Refuse("a saved summary's number of steps", static_cast<double>(s.steps),
                    "summary_steps, or 1 and more in the last");
    }
    steps += s.steps;
  }
  if (state.totals.steps != steps) {
    return Refuse("the saved total of steps", static_cast<double>(state.totals.steps),
                  "that of the summaries");
  }
  if (state.recent.size() != static_cast<size_t>(std::min<int64_t>(steps, options_.window))) {
    return Refuse("the saved number of recent steps", static_cast<double>(state.recent.size()),
                  "the window, or all steps if fewer");
  }
  state_ = state;
  warnings_.clear();
  return absl::OkStatus();
}

}  // namespace halftone
