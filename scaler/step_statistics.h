// What the steps of a training run say about its numerics: totals, history in bounded memory, and warnings
// that name what to do. Pure: no I/O, no clock.
//
//   ASSIGN_OR_RETURN(StepStatistics statistics, StepStatistics::Create({}, names));
//   ...
//   statistics.Add({.loss = loss, .grad_norm = stats.norm, .update = update});
//   for (const Warning& w : statistics.Warnings()) log(w.text);
#ifndef HALFTONE_SCALER_STEP_STATISTICS_H_
#define HALFTONE_SCALER_STEP_STATISTICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "scaler/loss_scale.h"

namespace halftone {

// Why the optimiser did not step.
enum class SkipReason { kNone, kNonFiniteGradients, kNonFiniteLoss, kOther };
inline constexpr size_t kSkipReasons = 4;

struct StepRecord {
  double loss = 0;                            // unscaled
  double grad_norm = 0;                       // of the unscaled gradients, before clipping
  SkipReason skip = SkipReason::kNone;        // kNone: the optimiser stepped
  ScaleUpdate update = {};                    // the loss scale's
  absl::Span<const double> zero_shares = {};  // by parameter, 0 to 1: gradients that are zero; or empty
};

// A bound of 0 turns its warning off. A warning is raised once, when what it measures goes beyond the bound;
// it ends when that falls below half the bound, and may be raised again then.
struct StepStatisticsOptions {
  int window = 100;        // steps that "recent" means, and the shortest summary; at least 1
  int max_summaries = 64;  // of the whole run; even, at least 2

  // Overflows (steps skipped for gradients that are not finite) by steps: of the whole run, from `window`
  // steps on, and of the last `window`.
  double max_overflow_rate = 0.05;
  double max_recent_overflow_rate = 0.1;
  double max_grad_norm = 1000;  // of a step that was not skipped
  // The scale is at its floor at this and below: LossScaleOptions::min_scale, where the loss is scaled.
  double floor_scale = 0;
  // The mean of the last `short_window` losses, in standard deviations of the recent losses before them and
  // above their mean. A standard deviation below a thousandth of the mean counts as that.
  double max_loss_z = 4;
  int short_window = 10;        // at least 1
  double max_zero_share = 0.9;  // of one parameter's gradients in one step that was not skipped
};

enum class WarningKind {
  kOverflowRate,
  kRecentOverflowRate,
  kGradNorm,
  kScaleAtFloor,
  kLossDiverging,
  kZeroGradients,
};
inline constexpr size_t kWarningKinds = 6;

struct Warning {
  WarningKind kind;
  int64_t step;          // from 1
  double value;          // what was measured
  size_t parameter = 0;  // of kZeroGradients
  std::string text;      // one line: what, and what to do
};

// Losses and norms that are not finite are in no sum.
struct StepSummary {
  int64_t first_step = 1;
  int64_t steps = 0;
  std::array<int64_t, kSkipReasons> by_reason = {};  // steps by SkipReason; kNone: not skipped
  int64_t scale_increases = 0;
  int64_t scale_decreases = 0;
  float scale = 1;  // the loss scale after the last step
  double loss_sum = 0;
  int64_t losses = 0;
  double grad_norm_sum = 0;  // of steps not skipped
  int64_t grad_norms = 0;
  double max_grad_norm = 0;

  int64_t skipped() const { return steps - by_reason[0]; }
  // All of these are 0 before there is anything to divide by.
  double overflow_rate() const;
  double avg_loss() const;
  double avg_grad_norm() const;

  bool operator==(const StepSummary&) const = default;
};

struct RecentStep {
  double loss = 0;
  double grad_norm = 0;
  SkipReason skip = SkipReason::kNone;
  float scale = 1;  // of this step

  bool operator==(const RecentStep&) const = default;
};

// All that resuming needs.
struct StepStatisticsState {
  StepSummary totals;
  std::deque<RecentStep> recent;  // the last `window` steps, oldest first
  // The whole run in order, each but the last of summary_steps steps. Where one more than max_summaries would
  // be needed, neighbours are merged and summary_steps doubles.
  std::vector<StepSummary> summaries;
  int64_t summary_steps = 0;  // the window times a power of two
  std::array<bool, kWarningKinds> raised = {};
  std::vector<bool> zeros_raised;  // by parameter

  bool operator==(const StepStatisticsState&) const = default;
};

class StepStatistics {
 public:
  // Refuses options outside the ranges above. `parameters` names those of zero_shares, for the texts.
  static absl::StatusOr<StepStatistics> Create(const StepStatisticsOptions& options,
                                               std::vector<std::string> parameters = {});

  void Add(const StepRecord& record);

  // The warnings that began with the last step added.
  absl::Span<const Warning> Warnings() const { return warnings_; }

  int64_t total_steps() const { return state_.totals.steps; }
  const StepSummary& totals() const { return state_.totals; }
  const std::deque<RecentStep>& recent() const { return state_.recent; }
  absl::Span<const StepSummary> history() const { return state_.summaries; }

  const StepStatisticsState& state() const { return state_; }
  // Continues from `state`. Refuses one that these options cannot reach; then nothing has changed.
  absl::Status Restore(const StepStatisticsState& state);

 private:
  StepStatistics(const StepStatisticsOptions& options, std::vector<std::string> parameters);

  void Remember(const StepRecord& record);
  void Judge(const StepRecord& record);
  // Raises or ends one warning; `raised` is whether it is under way.
  bool Watch(WarningKind kind, bool raised, double value, double bound, size_t parameter,
             absl::FunctionRef<std::string()> text);
  double RecentOverflowRate() const;
  double LossZ() const;

  StepStatisticsOptions options_;
  std::vector<std::string> parameters_;
  StepStatisticsState state_;
  std::vector<Warning> warnings_;
};

}  // namespace halftone

#endif  // HALFTONE_SCALER_STEP_STATISTICS_H_
