// Dynamic loss scaling as a pure state machine: no tensors, no I/O, a few numbers that a checkpoint keeps.
//
// Small gradients vanish in fp16. Multiplying the loss by a large scale lifts all of them, at the risk of
// overflow; so the scale is halved after a step with non-finite gradients (which is skipped) and doubled
// after a long run of good ones. (Micikevicius et al., "Mixed Precision Training", 2018. The numbers are
// exactly those of torch.amp.GradScaler.)
//
//   ASSIGN_OR_RETURN(GradScaler scaler, GradScaler::Create({.initial = 65536}));
//   ...
//   Backward(loss, /*seed=*/scaler.scale());
//   const GradStats stats = UnscaleAndCheck(grads, scaler.scale());
//   if (scaler.Update(stats.finite)) optimizer->Step(params, schedule->At(step));
#ifndef HALFTONE_SCALER_GRAD_SCALER_H_
#define HALFTONE_SCALER_GRAD_SCALER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace halftone {

struct GradScalerOptions {
  // The scale of the first step; within [min_scale, max_scale].
  float initial = 65536;
  // What the scale is multiplied with after growth_interval good steps in a row; above 1. A double, as in
  // PyTorch, so that factors like 1.1 give the same trajectory.
  double growth_factor = 2;
  // What the scale is multiplied with after a step with non-finite gradients; between 0 and 1, both excluded.
  double backoff_factor = 0.5;
  // Good steps in a row before the scale grows; at least 1.
  int growth_interval = 2000;
  // The scale never leaves [min_scale, max_scale]; both positive and finite.
  float min_scale = 1;
  float max_scale = 262144;
  // false: the scale is always 1 (fp32 and bf16 training). Steps with non-finite gradients are still skipped.
  bool enabled = true;
};

// All that resuming needs.
struct GradScalerState {
  float scale = 1;         // the scale of the next step
  int growth_tracker = 0;  // good steps since the last overflow or growth
  int64_t steps = 0;       // updates after which the optimiser stepped
  int64_t skipped = 0;     // updates after which it did not
};

class GradScaler {
 public:
  // Refuses options outside the ranges above with one line that names the field and its value.
  static absl::StatusOr<GradScaler> Create(const GradScalerOptions& options);

  // What to multiply the loss (or the seed of the backward pass) with; 1 when disabled.
  float scale() const { return state_.scale; }

  // Once a step, after the backward pass: were all its gradients finite? Sets the next step's scale and
  // returns whether the optimiser should step now.
  //
  // Growth that would make the scale infinite is dropped while the counting of good steps still restarts, as
  // in PyTorch; growth beyond max_scale gives max_scale, backoff below min_scale gives min_scale.
  bool Update(bool all_finite);

  const GradScalerOptions& options() const { return options_; }
  const GradScalerState& state() const { return state_; }

  // Continues from `state`. Refuses one that these options cannot reach; then nothing has changed.
  absl::Status Restore(const GradScalerState& state);

 private:
  explicit GradScaler(const GradScalerOptions& options);

  GradScalerOptions options_;
  GradScalerState state_;
};

}  // namespace halftone

#endif  // HALFTONE_SCALER_GRAD_SCALER_H_
