// From a resolved config to the objects that it names.
#ifndef HALFTONE_TRAIN_BUILD_H_
#define HALFTONE_TRAIN_BUILD_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "amp/recipe.h"
#include "datasets/image_dataset.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "scaler/grad_scaler.h"
#include "train/proto/train_config.pb.h"
#include "train/trainer.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const OptimizerConfig& config);

// The peak learning rate comes from the optimiser's config; total_steps is the length of the whole run.
absl::StatusOr<std::unique_ptr<Schedule>> MakeSchedule(const ScheduleConfig& config, const OptimizerConfig& optimizer,
                                                       int64_t total_steps);

// `config` is resolved. Enabled as it says, or else where the recipe scales the loss.
absl::StatusOr<GradScaler> MakeScaler(const LossScaleConfig& config, const amp::Recipe& recipe);

// All of it, for this data set. Errors name the field and what is valid.
absl::StatusOr<std::unique_ptr<Trainer>> MakeTrainer(const TrainConfig& config, const ImageDataset& dataset,
                                                     int64_t total_steps, Device& device);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_BUILD_H_
