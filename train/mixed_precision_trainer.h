// Mixed-precision training for a model of one's own: any C++ function that computes gradients.
//
//   ASSIGN_OR_RETURN(auto trainer, MixedPrecisionTrainer<half>::Create({}));
//   RETURN_IF_ERROR(trainer.InitializeWeights({w1, w2}));             // float32, as they were before
//   for (...) {
//     ASSIGN_OR_RETURN(const MixedPrecisionStep step, trainer.TrainStep(x, y, Gradients, /*lr=*/0.01));
//   }
//
//   absl::StatusOr<double> Gradients(const GradientCall<half>& call) {
//     ... forward: call.x, call.weights[i]; all 16-bit, computed with as you like, say widened to float
//     ... backward: seeded with call.scale, so that call.gradients[i] are the loss's times the scale
//     return loss;                                                      // without the scale
//   }
//
// The trainer keeps float32 master weights and rounds the 16-bit ones from them, scales the loss, unscales
// and checks the gradients, clips them, skips a step that overflowed, and adapts the scale. (Micikevicius et
// al., "Mixed Precision Training", 2018.) It knows nothing of graphs, tensors or devices.
#ifndef HALFTONE_TRAIN_MIXED_PRECISION_TRAINER_H_
#define HALFTONE_TRAIN_MIXED_PRECISION_TRAINER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"
#include "nn/optim/optimizer.h"
#include "scaler/grad_scaler.h"
#include "scaler/step_statistics.h"
#include "scaler/weight_manager.h"

namespace halftone {

// What the caller's function is given. T: half or bfloat16.
template <typename T>
struct GradientCall {
  absl::Span<const T> x;                     // the inputs, rounded to nearest even
  absl::Span<const float> y;                 // the targets, as they were given
  std::vector<absl::Span<const T>> weights;  // in the order of InitializeWeights
  float scale = 1;                           // what to multiply the loss with before its gradients are taken
  std::vector<absl::Span<T>> gradients;  // of scale * loss, to be filled in: the weights' sizes, zeros before
};

struct MixedPrecisionOptions {
  LossScaleOptions loss_scale;       // for bfloat16 .enabled = false will do
  StepStatisticsOptions statistics;  // its floor_scale is taken from loss_scale
  bool stochastic_rounding = false;  // of the 16-bit weights
  uint64_t seed = 1;                 // of stochastic rounding
  double max_norm = 0;               // gradients are clipped to this global norm; 0: no clipping
  float max_value = 0;               // each gradient is clipped to +-this; 0: no clipping. Not both
};

struct MixedPrecisionStep {
  double loss = 0;
  double grad_norm = 0;  // unscaled, before clipping
  bool skipped = false;  // the gradients were not finite: the weights are as before
  ScaleUpdate update;
};

struct MixedPrecisionStats {
  int64_t total_steps = 0;  // skipped ones included
  int64_t skipped_steps = 0;
  double overflow_rate = 0;  // of all steps
  float current_scale = 1;
  double avg_grad_norm = 0;  // of the steps that were not skipped
  int64_t scale_increases = 0;
  int64_t scale_decreases = 0;
};

template <typename T>
class MixedPrecisionTrainer {
 public:
  // Without an optimizer: plain gradient descent. Errors: options that LossScale or StepStatistics refuse, or
  // both kinds of clipping.
  static absl::StatusOr<MixedPrecisionTrainer> Create(const MixedPrecisionOptions& options,
                                                      std::unique_ptr<Optimizer> optimizer = nullptr);

  // Copies the float32 weights, one span a tensor. Once, until Reset. Errors: no weights, or one that is not
  // finite.
  absl::Status InitializeWeights(absl::Span<const absl::Span<const float>> weights);

  using GradientFunction = absl::FunctionRef<absl::StatusOr<double>(const GradientCall<T>& call)>;

  // One step. Inputs beyond T's range become infinities, and the step is skipped if its gradients show it.
  // Errors: no weights yet; a learning rate that is negative or not finite; the function's own, after which
  // nothing has changed; the loss scale at its floor where its policy says so.
  absl::StatusOr<MixedPrecisionStep> TrainStep(absl::Span<const float> x, absl::Span<const float> y,
                                               GradientFunction gradients, double learning_rate);

  float current_scale() const { return scaler_->scale(); }
  MixedPrecisionStats stats() const;
  const StepStatistics& statistics() const { return *statistics_; }  // history and warnings

  size_t tensors() const { return weights_.has_value() ? weights_->tensors() : 0; }
  absl::Span<const float> Master(size_t i) const { return weights_->Master(i); }
  absl::Span<const T> Working(size_t i) { return weights_->Working(i); }
  // For an update of the caller's own: the working copy follows with the next use.
  absl::Span<float> MutableMaster(size_t i) { return weights_->MutableMaster(i); }

  // As if just created, but for the optimizer's own options: no weights, no history, the first scale.
  absl::Status Reset();

  // One .safetensors file of everything: weights, optimiser, scale, statistics. Loading goes on bit for bit,
  // after InitializeWeights with weights of the same sizes; a file that does not fit is refused with one line
  // and nothing has changed.
  absl::Status Save(const std::string& path);
  absl::Status Load(const std::string& path);

 private:
  MixedPrecisionTrainer(const MixedPrecisionOptions& options, std::unique_ptr<Optimizer> optimizer);

  std::vector<ParamRef> Params();

  MixedPrecisionOptions options_;
  std::unique_ptr<Optimizer> optimizer_;
  absl::optional<GradScaler> scaler_;
  absl::optional<StepStatistics> statistics_;
  absl::optional<WeightManager<T>> weights_;
  std::vector<std::string> names_;
  std::vector<std::vector<T>> scaled_;         // gradients
  std::vector<std::vector<float>> gradients_;  // unscaled
  uint64_t step_ = 0;
};

extern template class MixedPrecisionTrainer<half>;
extern template class MixedPrecisionTrainer<bfloat16>;

}  // namespace halftone

#endif  // HALFTONE_TRAIN_MIXED_PRECISION_TRAINER_H_
