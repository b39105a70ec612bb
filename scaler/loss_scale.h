// The loss scale as a pure state machine: no tensors, no I/O, a few numbers that a checkpoint keeps.
//
// Small gradients vanish in fp16. Multiplying the loss by a large scale lifts all of them, at the risk of
// overflow; so the scale is halved after a step with non-finite gradients (which is skipped) and doubled
// after a long run of good ones. (Micikevicius et al., "Mixed Precision Training", 2018. The numbers are
// exactly those of torch.amp.GradScaler; hysteresis is Megatron-LM's DynamicGradScaler.)
//
//   ASSIGN_OR_RETURN(LossScale scale, LossScale::Create({.initial = 65536}));
//   ...
//   Backward(loss, /*seed=*/scale.scale());
//   const GradStats stats = UnscaleAndCheck(grads, scale.scale());
//   if (scale.Update(stats.finite).apply_step) optimizer->Step(params, schedule->At(step));
//
// scaler/grad_scaler.h is the same with several optimisers, and with the order of the calls enforced.
#ifndef HALFTONE_SCALER_LOSS_SCALE_H_
#define HALFTONE_SCALER_LOSS_SCALE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace halftone {

// What happens at the floor: where the scale can fall no further, after floor_patience skipped steps in a
// row.
enum class FloorPolicy {
  kSkip,      // nothing: steps are skipped on and on, as PyTorch does
  kError,     // FloorAction::kRaise
  kFallback,  // fallback_steps steps in a precision with float32's range, without scaling; then fp16 again
};

struct LossScaleOptions {
  // The scale of the first step, and of the first one after a fallback; within [min_scale, max_scale] if
  // dynamic, else any positive number.
  float initial = 65536;
  // What the scale is multiplied with after growth_interval good steps in a row; above 1. A double, as in
  // PyTorch, so that factors like 1.1 give the same trajectory.
  double growth_factor = 2;
  // What the scale is multiplied with after a step with non-finite gradients; between 0 and 1, both excluded.
  double backoff_factor = 0.5;
  // Good steps in a row before the scale grows; at least 1.
  int growth_interval = 2000;
  // A dynamic scale never leaves [min_scale, max_scale]; both positive and finite.
  float min_scale = 1;
  float max_scale = 262144;
  // Overflows before the scale falls; at least 1, which is PyTorch's rule. Every overflow restarts the
  // counting of good steps and takes one from a budget of so many; the one that takes the last, and each
  // after it, lowers the scale. The budget is full again at the end of a growth interval (and only then: a
  // few good steps between two overflows do not refill it).
  int hysteresis = 1;
  // false: the scale stays at `initial`. Steps with non-finite gradients are still skipped.
  bool dynamic = true;
  // false: the scale is always 1 (fp32 and bf16 training). Steps with non-finite gradients are still skipped.
  bool enabled = true;

  // A scale that is static or disabled is at its floor from the start. Where scaling is disabled, training
  // has float32's range already: kFallback is kError then.
  FloorPolicy floor_policy = FloorPolicy::kSkip;
  int64_t floor_patience = 20;    // skipped steps in a row; at least 1
  int64_t fallback_steps = 1000;  // steps of a fallback, skipped ones included; at least 1
};

// All that resuming needs.
struct LossScaleState {
  float scale = 1;               // the scale of the next step
  int growth_tracker = 0;        // good steps since the last overflow or growth
  int hysteresis_tracker = 1;    // what is left of the budget of overflows: 0 to options.hysteresis
  int64_t skipped_in_a_row = 0;  // up to the last update; counted anew when a fallback begins or ends
  int64_t fallback_left = 0;     // steps to go in the fallback under way; 0: none is
  int64_t steps = 0;             // updates after which the optimiser stepped
  int64_t skipped = 0;           // updates after which it did not

  bool operator==(const LossScaleState&) const = default;
};

// How the next step's scale compares with this step's. Growth at the maximum is kNoUpdate, and so is backoff
// at the minimum.
enum class UpdateStatus { kScaleIncreased, kScaleDecreased, kNoUpdate };

// What whoever owns the precision has to do. The state machine only says so.
enum class FloorAction {
  kNone,
  kRaise,          // stop with an error: no scale makes these gradients finite
  kEnterFallback,  // train the next steps in bf16 or fp32 (the scale is 1)
  kLeaveFallback,  // train in fp16 again (the scale is options.initial)
};

struct ScaleUpdate {
  UpdateStatus status = UpdateStatus::kNoUpdate;
  float old_scale = 1;     // of the step just judged
  float new_scale = 1;     // of the next step
  bool apply_step = true;  // whether the optimiser should step now
  FloorAction action = FloorAction::kNone;

  bool operator==(const ScaleUpdate&) const = default;
};

// LossScale::Update below, on a state that is kept elsewhere: on a GPU, say.
constexpr ScaleUpdate AdvanceLossScale(const LossScaleOptions& options, LossScaleState& state,
                                       bool all_finite);

class LossScale {
 public:
  // Refuses options outside the ranges above with one line that names the field and its value.
  static absl::StatusOr<LossScale> Create(const LossScaleOptions& options);

  // What to multiply the loss (or the seed of the backward pass) with; positive and finite. 1 when disabled
  // and in a fallback.
  float scale() const { return state_.scale; }
  bool in_fallback() const { return state_.fallback_left > 0; }

  // Once a step, after the backward pass: were all its gradients finite? Sets the next step's scale.
  //
  // Growth that would make the scale infinite is dropped while the counting of good steps still restarts, as
  // in PyTorch; growth beyond max_scale gives max_scale, backoff below min_scale gives min_scale.
  //
  // In a fallback every update counts as one of its steps. Gradients that are not finite there either, for
  // floor_patience steps in a row, are kRaise, and the fallback lasts until they are finite again.
  ScaleUpdate Update(bool all_finite) { return AdvanceLossScale(options_, state_, all_finite); }

  const LossScaleOptions& options() const { return options_; }
  const LossScaleState& state() const { return state_; }

  // Continues from `state`. Refuses one that these options cannot reach; then nothing has changed.
  absl::Status Restore(const LossScaleState& state);

 private:
  explicit LossScale(const LossScaleOptions& options);

  LossScaleOptions options_;
  LossScaleState state_;
};

struct LossScalePreset {
  absl::string_view name;
  absl::string_view about;
  LossScaleOptions options;
};

// default, conservative, aggressive, classic. All back off by half and stay within 1 and 2^18.
absl::Span<const LossScalePreset> LossScalePresets();

// An unknown name is an error that lists the valid ones.
absl::StatusOr<LossScaleOptions> FindLossScalePreset(absl::string_view name);

// Below: how it is done.

namespace loss_scale_internal {

// All of the state but the counts of steps, as if this were the first step.
constexpr void StartFrom(const LossScaleOptions& options, LossScaleState& state, float scale,
                         int64_t fallback_left) {
  state.scale = scale;
  state.growth_tracker = 0;
  state.hysteresis_tracker = options.hysteresis;
  state.skipped_in_a_row = 0;
  state.fallback_left = fallback_left;
}

constexpr bool Adjusts(const LossScaleOptions& options, const LossScaleState& state) {
  return options.enabled && options.dynamic && state.fallback_left == 0;
}

constexpr void Multiply(const LossScaleOptions& options, LossScaleState& state, double factor) {
  const float next = static_cast<float>(state.scale * factor);
  if (next - next != 0) return;  // not finite
  state.scale = next < options.min_scale   ? options.min_scale
                : next > options.max_scale ? options.max_scale
                                           : next;
}

constexpr void Adjust(const LossScaleOptions& options, LossScaleState& state, bool all_finite) {
  if (!all_finite) {
    state.growth_tracker = 0;
    if (state.hysteresis_tracker > 0) --state.hysteresis_tracker;
    if (state.hysteresis_tracker == 0) Multiply(options, state, options.backoff_factor);
  } else if (++state.growth_tracker == options.growth_interval) {
    state.growth_tracker = 0;
    state.hysteresis_tracker = options.hysteresis;
    Multiply(options, state, options.growth_factor);
  }
}

constexpr FloorAction ActAtFloor(const LossScaleOptions& options, LossScaleState& state) {
  if (options.floor_policy == FloorPolicy::kSkip) return FloorAction::kNone;
  if (options.floor_policy == FloorPolicy::kError || !options.enabled || state.fallback_left > 0) {
    return FloorAction::kRaise;
  }
  StartFrom(options, state, 1, options.fallback_steps);
  return FloorAction::kEnterFallback;
}

}  // namespace loss_scale_internal

constexpr ScaleUpdate AdvanceLossScale(const LossScaleOptions& options, LossScaleState& state,
                                       bool all_finite) {
  namespace internal = loss_scale_internal;
  ScaleUpdate update = {.old_scale = state.scale, .apply_step = all_finite};
  ++(all_finite ? state.steps : state.skipped);
  state.skipped_in_a_row = all_finite ? 0 : state.skipped_in_a_row + 1;

  const bool adjusts = internal::Adjusts(options, state);
  if (adjusts) internal::Adjust(options, state, all_finite);
  const bool at_floor = !adjusts || state.scale <= options.min_scale;
  if (state.skipped_in_a_row >= options.floor_patience && at_floor) {
    update.action = internal::ActAtFloor(options, state);
  }
  // The update that enters a fallback judged a step before it.
  if (update.action == FloorAction::kNone && state.fallback_left > 0 && --state.fallback_left == 0) {
    internal::StartFrom(options, state, options.initial, /*fallback_left=*/0);
    update.action = FloorAction::kLeaveFallback;
  }

  update.new_scale = state.scale;
  if (update.new_scale > update.old_scale) update.status = UpdateStatus::kScaleIncreased;
  if (update.new_scale < update.old_scale) update.status = UpdateStatus::kScaleDecreased;
  return update;
}

}  // namespace halftone

#endif  // HALFTONE_SCALER_LOSS_SCALE_H_
