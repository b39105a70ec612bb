// From a resolved config to the objects that it names.
#ifndef HALFTONE_TRAIN_BUILD_H_
#define HALFTONE_TRAIN_BUILD_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "amp/quantization.h"
#include "amp/recipe.h"
#include "datasets/dataset.h"
#include "nn/cast_policy.h"
#include "nn/module.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "scaler/grad_scaler.h"
#include "train/proto/train_config.pb.h"
#include "train/trainer.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const OptimizerConfig& config);

// The peak learning rate comes from the optimiser's config; total_steps is the length of the whole run.
absl::StatusOr<std::unique_ptr<Schedule>> MakeSchedule(const ScheduleConfig& config,
                                                       const OptimizerConfig& optimizer, int64_t total_steps);

// `config` is resolved. Enabled as it says, or else where the recipe scales the loss.
absl::StatusOr<GradScaler> MakeScaler(const LossScaleConfig& config, const amp::Recipe& recipe);

struct PrecisionPolicies {
  nn::CastPolicy whole;
  std::vector<nn::PolicyOverride> parts;  // of the network
};

// A recipe's casts under the config's overrides. With `instead_of_float16`, parts that are to run in float16
// follow that recipe. Errors: names that are none. Whether the overrides fit the model is for MakeTrainer to
// say.
absl::StatusOr<PrecisionPolicies> MakePolicies(
    const PrecisionConfig& config, const amp::Recipe& recipe,
    const absl::optional<amp::Recipe>& instead_of_float16 = absl::nullopt);

// What is quantised: the recipe's formats, its overrides', and the config's own changes.
absl::StatusOr<amp::QuantizationOptions> MakeQuantization(const PrecisionConfig& config,
                                                          const amp::Recipe& recipe);

// The data set that the config names, from its files.
absl::StatusOr<Dataset> LoadConfiguredDataset(const DataConfig& config);

// The model, not initialised and not quantised.
absl::StatusOr<std::unique_ptr<nn::Module>> MakeConfiguredModel(const TrainConfig& config,
                                                                const Dataset& dataset);

// All of it, for this data set; with new weights, whatever model.weights says. Errors name the field and what
// is valid.
absl::StatusOr<std::unique_ptr<Trainer>> MakeTrainer(const TrainConfig& config, const Dataset& dataset,
                                                     int64_t total_steps, Device& device);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_BUILD_H_
