#include "train/checkpoint/numerics_state.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

StepSummaryProto ToProto(const StepSummary& s) {
  StepSummaryProto proto;
  proto.set_first_step(s.first_step);
  proto.set_steps(s.steps);
  for (const int64_t n : s.by_reason) proto.add_by_reason(n);
  proto.set_scale_increases(s.scale_increases);
  proto.set_scale_decreases(s.scale_decreases);
  proto.set_scale(s.scale);
  proto.set_loss_sum(s.loss_sum);
  proto.set_losses(s.losses);
  proto.set_grad_norm_sum(s.grad_norm_sum);
  proto.set_grad_norms(s.grad_norms);
  proto.set_max_grad_norm(s.max_grad_norm);
  return proto;
}

absl::Status Refuse(const char* what, int64_t value, size_t expected) {
  return absl::DataLossError(
      absl::StrCat("the saved statistics have ", value, " ", what, ", expected ", expected));
}

absl::StatusOr<StepSummary> FromProto(const StepSummaryProto& proto) {
  if (static_cast<size_t>(proto.by_reason_size()) != kSkipReasons) {
    return Refuse("reasons for skipped steps", proto.by_reason_size(), kSkipReasons);
  }
  StepSummary s = {.first_step = proto.first_step(),
                   .steps = proto.steps(),
                   .scale_increases = proto.scale_increases(),
                   .scale_decreases = proto.scale_decreases(),
                   .scale = proto.scale(),
                   .loss_sum = proto.loss_sum(),
                   .losses = proto.losses(),
                   .grad_norm_sum = proto.grad_norm_sum(),
                   .grad_norms = proto.grad_norms(),
                   .max_grad_norm = proto.max_grad_norm()};
  std::copy(proto.by_reason().begin(), proto.by_reason().end(), s.by_reason.begin());
  return s;
}

}  // namespace

LossScaleProto ToProto(const LossScaleState& s) {
  LossScaleProto proto;
  proto.set_scale(s.scale);
  proto.set_growth_tracker(s.growth_tracker);
  proto.set_hysteresis_tracker(s.hysteresis_tracker);
  proto.set_skipped_in_a_row(s.skipped_in_a_row);
  proto.set_fallback_left(s.fallback_left);
  proto.set_steps(s.steps);
  proto.set_skipped(s.skipped);
  return proto;
}

LossScaleState FromProto(const LossScaleProto& proto) {
  return {.scale = proto.scale(),
          .growth_tracker = proto.growth_tracker(),
          .hysteresis_tracker = proto.hysteresis_tracker(),
          .skipped_in_a_row = proto.skipped_in_a_row(),
          .fallback_left = proto.fallback_left(),
          .steps = proto.steps(),
          .skipped = proto.skipped()};
}

StepStatisticsProto ToProto(const StepStatisticsState& state) {
  StepStatisticsProto proto;
  *proto.mutable_totals() = ToProto(state.totals);
  for (const RecentStep& r : state.recent) {
    StepStatisticsProto::Step& step = *proto.add_recent();
    step.set_loss(r.loss);
    step.set_grad_norm(r.grad_norm);
    step.set_skip(static_cast<int>(r.skip));
    step.set_scale(r.scale);
  }
  for (const StepSummary& s : state.summaries) *proto.add_summaries() = ToProto(s);
  proto.set_summary_steps(state.summary_steps);
  for (const bool raised : state.raised) proto.add_raised(raised);
  for (const bool raised : state.zeros_raised) proto.add_zeros_raised(raised);
  return proto;
}

absl::StatusOr<StepStatisticsState> FromProto(const StepStatisticsProto& proto) {
  StepStatisticsState state;
  ASSIGN_OR_RETURN(state.totals, FromProto(proto.totals()));
  for (const StepStatisticsProto::Step& step : proto.recent()) {
    if (step.skip() < 0 || static_cast<size_t>(step.skip()) >= kSkipReasons) {
      return Refuse("as the reason for a skipped step", step.skip(), kSkipReasons - 1);
    }
    state.recent.push_back({.loss = step.loss(),
                            .grad_norm = step.grad_norm(),
                            .skip = static_cast<SkipReason>(step.skip()),
                            .scale = step.scale()});
  }
  for (const StepSummaryProto& s : proto.summaries()) {
    ASSIGN_OR_RETURN(StepSummary summary, FromProto(s));
    state.summaries.push_back(summary);
  }
  state.summary_steps = proto.summary_steps();
  if (static_cast<size_t>(proto.raised_size()) != kWarningKinds) {
    return Refuse("kinds of warnings", proto.raised_size(), kWarningKinds);
  }
  std::copy(proto.raised().begin(), proto.raised().end(), state.raised.begin());
  state.zeros_raised.assign(proto.zeros_raised().begin(), proto.zeros_raised().end());
  return state;
}

}  // namespace halftone
