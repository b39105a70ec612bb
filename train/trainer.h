// The training step, and all state that it changes.
#ifndef HALFTONE_TRAIN_TRAINER_H_
#define HALFTONE_TRAIN_TRAINER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "amp/quantization.h"
#include "base/philox.h"
#include "datasets/batch.h"
#include "nn/cast_policy.h"
#include "nn/functional.h"
#include "nn/module.h"
#include "nn/optim/device_scaler.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "scaler/grad_scaler.h"
#include "scaler/step_statistics.h"
#include "train/overflow_report.h"

namespace halftone {

struct TrainerOptions {
  nn::CastPolicy policy;                      // which ops run in lower precision
  std::vector<nn::PolicyOverride> overrides;  // in which parts of the model others do
  // In their place while the loss scale is in a fallback.
  nn::CastPolicy fallback_policy;
  std::vector<nn::PolicyOverride> fallback_overrides;
  // Keep the weights in this dtype alone, float16 or bfloat16; none: float32 masters.
  absl::optional<DType> weights16;
  WeightRounding weight_rounding = WeightRounding::kStochastic;  // of weights16
  amp::QuantizationSummary quantization;                         // what was done to the model
  int64_t quantize_from_step = 0;                                // steps before it are taken without
  nn::LossOptions loss;
  double max_norm = 0;        // gradients are clipped to this global norm; 0: no clipping
  float max_value = 0;        // each gradient is clipped to +-this; 0: no clipping. Not both
  int64_t micro_batches = 1;  // parts that a batch is computed in; divides its size
  uint64_t seed = 1;          // of the initial weights, of dropout and of stochastic rounding
  StepStatisticsOptions statistics;
  int64_t count_zeros_every = 0;  // steps between two looks at the gradients' zeros; 0: never
  // So many skipped steps are taken again to find the first value that is not finite; below 0: all. An
  // accelerator takes them again on the weights that it has when the result is read.
  int64_t explain_overflows = 0;
  int64_t read_every = 16;  // steps that an accelerator may be behind
  // Steps that are all alike are recorded once and replayed, where the accelerator records: the host then
  // does next to nothing for a step. Not alike are steps that draw random numbers on the host's word, as
  // dropout does.
  bool record = true;
};

struct StepResult {
  int64_t step = 0;                   // from 1
  int64_t examples = 0;               // of the batch
  double loss = 0;                    // mean over the batch, unscaled
  int64_t correct = 0;                // images whose largest logit is their label's
  double grad_norm = 0;               // global, unscaled, before clipping
  double scale = 1;                   // the loss scale of this step
  bool skipped = false;               // gradients were not finite: weights and optimiser state are as before
  ScaleUpdate update;                 // what that did to the loss scale
  std::vector<std::string> warnings;  // a line each, of what began with this step
  absl::optional<OverflowReport> overflow;  // why it was skipped, where that was asked
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

  // One step on one batch, whose result is waited for. Errors: the loss or a gradient is not finite without
  // loss scaling to blame, or the loss scale's floor policy makes one of it; the message says where it
  // happened. The weights are those before the step then.
  absl::StatusOr<StepResult> Step(const Batch& batch);

  // The same without waiting for an accelerator, which does the step later; gives the results of all steps
  // since those given last, once there are options.read_every of them: none, mostly. On the CPU this is Step.
  // What an error says of the weights holds for steps whose gradients were not finite; those after them were
  // taken.
  absl::StatusOr<std::vector<StepResult>> Enqueue(const Batch& batch);
  // Waits for all steps; the results that are left. Between two calls of Step this gives none. To be called
  // before the trainer is looked at.
  absl::StatusOr<std::vector<StepResult>> Finish();

  // Called in each step whose weights are going to change, just before: the gradients are unscaled and not
  // clipped.
  void BeforeUpdate(std::function<void()> look) { before_update_ = std::move(look); }

  // From now on, sees what every step's time goes to; null: nobody does. After the backward pass: "check
  // gradients", "optimizer" and "other", outside of any module.
  void Profile(std::function<void(const nn::ProfileEvent&)> profile) { profile_ = std::move(profile); }

  // One pass over one epoch of batches, with running statistics and without dropout. Errors: the
  // accelerator's.
  absl::StatusOr<Evaluation> Evaluate(BatchSource& batches);

  Device& device() { return device_; }
  nn::Module& model() { return *model_; }
  Optimizer& optimizer() { return *optimizer_; }
  GradScaler& scaler() { return scaler_; }
  const StepStatistics& statistics() const { return statistics_; }
  absl::Status RestoreStatistics(const StepStatisticsState& state) { return statistics_.Restore(state); }
  // The weights and this step's gradients (empty outside of a step), in the order of the model's Visit.
  absl::Span<nn::Parameter* const> parameters() const { return params_; }
  // Whether an accelerator replays a recorded step.
  bool recorded() const { return recording_ != nullptr; }
  const amp::QuantizationSummary& quantization() const { return options_.quantization; }

  double LearningRateOf(int64_t step) const { return schedule_->At(step).learning_rate; }
  int64_t step() const { return step_; }  // steps done, skipped ones included
  // For resuming: weights and optimiser may lie elsewhere now, and no step of before is replayed.
  void set_step(int64_t step) {
    step_ = step;
    if (recording_ != nullptr) DropRecording();
  }

 private:
  nn::GraphOptions GraphFor(int64_t part) const;
  // What a step leaves on the device: of each part of the batch the mean loss and how many are right.
  struct Tally {
    std::vector<Tensor> losses, corrects;
    bool random = false;  // Graph::random
  };
  // A step that an accelerator was told to do.
  struct Pending {
    int64_t step = 0;  // those done before it
    Batch batch;
    Tally tally;
    Tensor zeros;   // of each parameter's gradients; undefined: not counted
    Tensor report;  // DeviceScaler::Read
  };
  // A step that can be replayed: it reads `batch` and leaves `tally` and `report`.
  struct Recording {
    Batch batch;
    Tally tally;
    Tensor report;
    bool quantize = false;       // as in the steps that it stands for
    std::shared_ptr<void> pool;  // of the allocator; outlives `steps`
    std::shared_ptr<void> steps;
  };

  // Forward and backward of one part of a batch.
  void Differentiate(nn::Graph& graph, const Batch& part, const Tensor& seed, Tally* tally);
  void DifferentiateParts(const Batch& batch, const Tensor& seed, Tally& tally);
  static void Read(const Tally& tally, StepResult& result);
  bool CountsZeros() const;
  bool Quantizes() const { return step_ >= options_.quantize_from_step; }

  absl::StatusOr<StepResult> StepOnHost(const Batch& batch);
  absl::Status StepOnDevice(const Batch& batch);
  // From the forward pass to the next loss scale.
  absl::Status Compute(const Batch& batch, const Tensor& zeros, Tally& tally);
  absl::Status Record(const Batch& batch);
  void ForgetWorkingCopies();
  void MakeRoom();
  void DropRecording();
  bool CanReplay(const Batch& batch) const;
  absl::StatusOr<StepResult> ReadStep(const Pending& pending);
  // The end of each step: what its result means, and whether training can go on.
  absl::Status Conclude(const Batch& batch, absl::Span<const int64_t> zeros, StepResult& result);
  void MaybeExplain(const Batch& batch, StepResult& result);
  void Watch(const StepResult& result, absl::Span<const int64_t> zeros);
  absl::Status CheckHealth(const StepResult& result, const Batch& batch);
  OverflowReport Explain(const Batch& batch);
  void Tell(absl::string_view part, std::chrono::steady_clock::time_point& since) const;
  std::string FirstNonFinite(const StepResult& result, const Batch& batch);

  Device& device_;
  const std::unique_ptr<nn::Module> model_;
  const std::vector<nn::Parameter*> params_;
  const std::unique_ptr<Optimizer> optimizer_;
  const std::unique_ptr<Schedule> schedule_;
  GradScaler scaler_;
  // Null: the host takes the steps.
  std::unique_ptr<nn::DeviceScaler> device_scaler_;
  LossScaleState device_state_;  // of device_scaler_, as last read or set
  std::vector<Pending> pending_;
  Tensor schedule_now_;                   // DeviceStep::schedule of this step
  std::unique_ptr<Recording> recording_;  // null: there is none
  const TrainerOptions options_;
  bool record_ = options_.record;  // until there is no room for it
  const Rng rng_;
  StepStatistics statistics_;
  std::function<void()> before_update_;
  std::function<void(const nn::ProfileEvent&)> profile_;
  int64_t step_ = 0;
  int64_t explained_ = 0;  // skipped steps
};

}  // namespace halftone

#endif  // HALFTONE_TRAIN_TRAINER_H_
