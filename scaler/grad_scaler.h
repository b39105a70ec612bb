// Gradient scaling as users of torch.amp.GradScaler know it: one loss scale for any number of losses and
// optimisers, each optimiser with its own check for non-finite gradients, and the order of the calls
// enforced.
//
//   ASSIGN_OR_RETURN(GradScaler scaler, GradScaler::Create({}));
//   ...
//   Backward(loss, /*seed=*/scaler.scale());
//   RETURN_IF_ERROR(scaler.Unscale(kOptimizer, grads).status());
//   RETURN_IF_ERROR(scaler.ClipByGlobalNorm(kOptimizer, grads, 1.0));    // if at all
//   ASSIGN_OR_RETURN(const bool finite, scaler.ShouldStep(kOptimizer));
//   if (finite) optimizer->Step(params, schedule->At(step));
//   ASSIGN_OR_RETURN(const ScaleUpdate update, scaler.Update());
//
// Optimisers are named by small integers of the caller's choice. Several losses need nothing special: each is
// multiplied with scale() before its backward pass.
//
// Accumulation: the gradients of several backward passes, of one micro-batch each, are added up in float32
// before Unscale, which divides by their number too, so that the result is the mean: that of one large batch.
// BeginMicroBatch counts them. All have one scale: between the first of them and Unscale, Update is an error.
// An overflow in any of them is seen in the sum, where an infinity stays one or, meeting its opposite,
// becomes a NaN. (Adding up in 16 bits, or narrowing with saturation, could hide one.)
//
// A call out of order changes nothing; its error (kFailedPrecondition) says what the order is.
#ifndef HALFTONE_SCALER_GRAD_SCALER_H_
#define HALFTONE_SCALER_GRAD_SCALER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"
#include "scaler/loss_scale.h"
#include "scaler/unscale.h"

namespace halftone {

class GradScaler {
 public:
  // Refuses options as LossScale does.
  static absl::StatusOr<GradScaler> Create(const LossScaleOptions& options);
  explicit GradScaler(const LossScale& loss_scale) : loss_scale_(loss_scale) {}

  // What to multiply every loss (or the seed of its backward pass) with.
  float scale() const { return loss_scale_.scale(); }
  const LossScale& loss_scale() const { return loss_scale_; }

  // Before the backward pass of one of several micro-batches. Not needed where there is only one.
  absl::Status BeginMicroBatch(int optimizer);

  // Divides the gradients of all of this optimiser's parameters by the scale (and by the number of
  // micro-batches), in place; checks and measures them in the same pass. Once between two updates. Having no
  // gradient at all is an error. `zeros` as in UnscaleAndCheck.
  absl::StatusOr<GradStats> Unscale(int optimizer, absl::Span<const absl::Span<float>> grads,
                                    absl::Span<int64_t> zeros = {});
  // From gradients in 16 bits to `unscaled`, of the same sizes.
  absl::StatusOr<GradStats> Unscale(int optimizer, absl::Span<const absl::Span<const half>> grads,
                                    absl::Span<const absl::Span<float>> unscaled,
                                    absl::Span<int64_t> zeros = {});
  absl::StatusOr<GradStats> Unscale(int optimizer, absl::Span<const absl::Span<const bfloat16>> grads,
                                    absl::Span<const absl::Span<float>> unscaled,
                                    absl::Span<int64_t> zeros = {});

  // Clips the unscaled gradients, those that Unscale was given or gave; once, in one way or the other. Leaves
  // gradients that are not finite alone: their step is skipped. A limit of 0 or less: no clipping; NaN is
  // refused.
  absl::Status ClipByGlobalNorm(int optimizer, absl::Span<const absl::Span<float>> grads, double max_norm);
  // The same for an optimiser that multiplies the gradients in its own pass over memory (StepOptions): by
  // what.
  absl::StatusOr<float> ClipFactor(int optimizer, double max_norm);
  absl::Status ClipByValue(int optimizer, absl::Span<const absl::Span<float>> grads, float max_value);

  // Whether this optimiser should step now: were its own gradients finite? Once between two updates.
  absl::StatusOr<bool> ShouldStep(int optimizer);

  // Once all losses and optimisers are done: sets the next scale. The gradients of any optimiser not being
  // finite counts as an overflow.
  absl::StatusOr<ScaleUpdate> Update();

  // Continues from the state of a LossScale (loss_scale().state() of a scaler between two steps).
  absl::Status Restore(const LossScaleState& state);

 private:
  enum class Stage { kBackward, kUnscaled, kClipped, kStepped };

  // What happened to an optimiser's gradients since the last update.
  struct Progress {
    Stage stage = Stage::kBackward;
    int64_t micro_batches = 0;  // as BeginMicroBatch counted them
    GradStats stats;
  };

  absl::StatusOr<Progress*> ProgressOf(int optimizer);
  absl::Status CheckClip(int optimizer, double limit);
  template <typename UnscaleGrads>
  absl::StatusOr<GradStats> UnscaleWith(int optimizer, bool any, const UnscaleGrads& unscale);

  LossScale loss_scale_;
  std::vector<Progress> progress_;  // by optimiser
};

}  // namespace halftone

#endif  // HALFTONE_SCALER_GRAD_SCALER_H_
