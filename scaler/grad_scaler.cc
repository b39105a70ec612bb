#include "scaler/grad_scaler.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

constexpr int kMaxOptimizers = 1024;

absl::Status OutOfOrder(int optimizer, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(
      "gradient scaler: optimizer ", optimizer, ": ", what,
      "; the order is backward, unscale, clip (if at all), step, and update after all optimizers"));
}

template <typename Spans>
bool AnyElement(const Spans& spans) {
  return std::any_of(spans.begin(), spans.end(), [](const auto& span) { return !span.empty(); });
}

template <typename T>
bool SameSizes(absl::Span<const absl::Span<const T>> a, absl::Span<const absl::Span<float>> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.size() == y.size(); });
}

absl::Status SizesDiffer(int optimizer) {
  return absl::InvalidArgumentError(
      absl::StrCat("gradient scaler: optimizer ", optimizer,
                   ": the arrays for the unscaled gradients are not of the gradients' number and sizes"));
}

}  // namespace

absl::StatusOr<GradScaler> GradScaler::Create(const LossScaleOptions& options) {
  ASSIGN_OR_RETURN(const LossScale loss_scale, LossScale::Create(options));
  return GradScaler(loss_scale);
}

absl::StatusOr<GradScaler::Progress*> GradScaler::ProgressOf(int optimizer) {
  if (optimizer < 0 || optimizer >= kMaxOptimizers) {
    return absl::InvalidArgumentError(
        absl::StrFormat("gradient scaler: optimizer is %d, expected 0 to %d", optimizer, kMaxOptimizers - 1));
  }
  const size_t i = static_cast<size_t>(optimizer);
  if (i >= progress_.size()) progress_.resize(i + 1);
  return &progress_[i];
}

absl::Status GradScaler::BeginMicroBatch(int optimizer) {
  ASSIGN_OR_RETURN(Progress* const progress, ProgressOf(optimizer));
  if (progress->stage != Stage::kBackward) {
    return OutOfOrder(optimizer, "a micro-batch begins after unscale and before update");
  }
  ++progress->micro_batches;
  return absl::OkStatus();
}

// unscale(divisor) does the work. any: is there a gradient?
template <typename UnscaleGrads>
absl::StatusOr<GradStats> GradScaler::UnscaleWith(int optimizer, bool any, const UnscaleGrads& unscale) {
  ASSIGN_OR_RETURN(Progress* const progress, ProgressOf(optimizer));
  if (progress->stage != Stage::kBackward) {
    return OutOfOrder(optimizer, progress->stage == Stage::kStepped
                                     ? "unscale after step"
                                     : "unscale twice without an update between");
  }
  if (!any) return OutOfOrder(optimizer, "no parameter has a gradient: unscale without a backward pass");
  const int64_t micro_batches = std::max<int64_t>(1, progress->micro_batches);
  progress->stats = unscale(static_cast<double>(scale()) * static_cast<double>(micro_batches));
  progress->stage = Stage::kUnscaled;
  return progress->stats;
}

absl::StatusOr<GradStats> GradScaler::Unscale(int optimizer, absl::Span<const absl::Span<float>> grads,
                                              absl::Span<int64_t> zeros) {
  return UnscaleWith(optimizer, AnyElement(grads),
                     [&](double divisor) { return UnscaleAndCheck(grads, divisor, zeros); });
}

absl::StatusOr<GradStats> GradScaler::Unscale(int optimizer, absl::Span<const absl::Span<const half>> grads,
                                              absl::Span<const absl::Span<float>> unscaled,
                                              absl::Span<int64_t> zeros) {
  if (!SameSizes(grads, unscaled)) return SizesDiffer(optimizer);
  return UnscaleWith(optimizer, AnyElement(grads),
                     [&](double divisor) { return UnscaleAndCheck(grads, unscaled, divisor, zeros); });
}

absl::StatusOr<GradStats> GradScaler::Unscale(int optimizer,
                                              absl::Span<const absl::Span<const bfloat16>> grads,
                                              absl::Span<const absl::Span<float>> unscaled,
                                              absl::Span<int64_t> zeros) {
  if (!SameSizes(grads, unscaled)) return SizesDiffer(optimizer);
  return UnscaleWith(optimizer, AnyElement(grads),
                     [&](double divisor) { return UnscaleAndCheck(grads, unscaled, divisor, zeros); });
}

absl::Status GradScaler::CheckClip(int optimizer, double limit) {
  if (std::isnan(limit)) {
    return absl::InvalidArgumentError(absl::StrCat("gradient scaler: optimizer ", optimizer,
                                                   ": the limit of clipping is nan, expected a number"));
  }
  ASSIGN_OR_RETURN(Progress* const progress, ProgressOf(optimizer));
  switch (progress->stage) {
    case Stage::kBackward:
      return OutOfOrder(optimizer, "clip before unscale");
    case Stage::kClipped:
      return OutOfOrder(optimizer, "clip twice without an update between");
    case Stage::kStepped:
      return OutOfOrder(optimizer, "clip after step");
    case Stage::kUnscaled:
      break;
  }
  progress->stage = Stage::kClipped;
  return absl::OkStatus();
}

absl::Status GradScaler::ClipByGlobalNorm(int optimizer, absl::Span<const absl::Span<float>> grads,
                                          double max_norm) {
  RETURN_IF_ERROR(CheckClip(optimizer, max_norm));
  const GradStats& stats = progress_[static_cast<size_t>(optimizer)].stats;
  if (stats.finite) halftone::ClipByGlobalNorm(grads, max_norm, stats.norm);
  return absl::OkStatus();
}

absl::StatusOr<float> GradScaler::ClipFactor(int optimizer, double max_norm) {
  RETURN_IF_ERROR(CheckClip(optimizer, max_norm));
  const GradStats& stats = progress_[static_cast<size_t>(optimizer)].stats;
  return stats.finite ? halftone::ClipFactor(max_norm, stats.norm) : 1;
}

absl::Status GradScaler::ClipByValue(int optimizer, absl::Span<const absl::Span<float>> grads,
                                     float max_value) {
  RETURN_IF_ERROR(CheckClip(optimizer, max_value));
  if (progress_[static_cast<size_t>(optimizer)].stats.finite) halftone::ClipByValue(grads, max_value);
  return absl::OkStatus();
}

absl::StatusOr<bool> GradScaler::ShouldStep(int optimizer) {
  ASSIGN_OR_RETURN(Progress* const progress, ProgressOf(optimizer));
  if (progress->stage == Stage::kBackward) return OutOfOrder(optimizer, "step before unscale");
  if (progress->stage == Stage::kStepped) {
    return OutOfOrder(optimizer, "step twice without an update between");
  }
  progress->stage = Stage::kStepped;
  return progress->stats.finite;
}

absl::StatusOr<ScaleUpdate> GradScaler::Update() {
  bool checked = false, all_finite = true;
  for (size_t i = 0; i < progress_.size(); ++i) {
    const Progress& p = progress_[i];
    if (p.stage == Stage::kBackward && p.micro_batches > 0) {
      return OutOfOrder(static_cast<int>(i),
                        "update amid the micro-batches of one step, which need one scale");
    }
    checked |= p.stage != Stage::kBackward;
    all_finite &= p.stats.finite;
  }
  if (!checked) {
    return absl::FailedPreconditionError(
        "gradient scaler: update before any gradients were unscaled and checked; the order is backward, "
        "unscale, clip (if at all), step, and update after all optimizers");
  }
  progress_.clear();
  return loss_scale_.Update(all_finite);
}

absl::Status GradScaler::Restore(const LossScaleState& state) {
  RETURN_IF_ERROR(loss_scale_.Restore(state));
  progress_.clear();
  return absl::OkStatus();
}

}  // namespace halftone
