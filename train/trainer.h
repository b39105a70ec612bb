// The training step, and all state that it changes.
#ifndef HALFTONE_TRAIN_TRAINER_H_
#define HALFTONE_TRAIN_TRAINER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "datasets/loader.h"
#include "nn/cast_policy.h"
#include "nn/module.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "scaler/grad_scaler.h"

namespace halftone {

struct TrainerOptions {
  nn::CastPolicy policy;       // which ops run in lower precision
  double label_smoothing = 0;  // 0 to 1
  double max_norm = 0;         // gradients are clipped to this global norm; 0: no clipping
  uint64_t seed = 1;           // of the initial weights and of dropout
  nn::CastPolicy fallback_policy;  // in its place while the loss scale is in a fallback
};

struct StepResult {
  double loss = 0;       // mean over the batch, unscaled
  int64_t correct = 0;   // images whose largest logit is their label's
  double grad_norm = 0;  // global, unscaled, before clipping
  double scale = 1;      // the loss scale of this step
  bool skipped = false;  // gradients were not finite: weights and optimiser state are as before
  ScaleUpdate update;    // what that did to the loss scale
};

struct Evaluation {
  double loss = 0;      // mean over the images
  double accuracy = 0;  // 0 to 1
};

class Trainer {
 public:
  // Initialises the model's weights. `device` outlives the trainer.
  Trainer(Device& device, std::unique_ptr<nn::Module> model, std::unique_ptr<Optimizer> optimizer,
          std::unique_ptr<Schedule> schedule, const GradScaler& scaler, const TrainerOptions& options);

  // One step on one batch. Errors: the loss or a gradient is not finite without loss scaling to blame, or the loss scale's
  // floor policy makes one of it; the message says where it happened. The weights are those before the step then.
  absl::StatusOr<StepResult> Step(const Batch& batch);

  // One pass over the loader's split, with running statistics and without dropout.
  Evaluation Evaluate(DataLoader& loader);

  Device& device() { return device_; }
  nn::Module& model() { return *model_; }
  Optimizer& optimizer() { return *optimizer_; }
  GradScaler& scaler() { return scaler_; }
  // fp32 master weights and this step's gradients (empty outside of a step), in the order of the model's Visit.
  std::vector<ParamRef> Params();

  double LearningRateOf(int64_t step) const { return schedule_->At(step).learning_rate; }
  int64_t step() const { return step_; }  // steps done, skipped ones included
  void set_step(int64_t step) { step_ = step; }     // for resuming

 private:
  const nn::CastPolicy& Policy() const;
  std::vector<absl::Span<float>> Gradients();
  void MarkWeightsUpdated();
  absl::Status CheckHealth(const StepResult& result, const Batch& batch);
  std::string FirstNonFinite(const Batch& batch);

  Device& device_;
  const std::unique_ptr<nn::Module> model_;
  const std::vector<nn::Parameter*> params_;
  const std::unique_ptr<Optimizer> optimizer_;
  const std::unique_ptr<Schedule> schedule_;
  GradScaler scaler_;
  const TrainerOptions options_;
  const Rng rng_;
  int64_t step_ = 0;
};

}  // namespace halftone

#endif  // HALFTONE_TRAIN_TRAINER_H_
