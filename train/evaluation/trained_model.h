// A model as a checkpoint has it, without its trainer: to be evaluated in this or another precision.
#ifndef HALFTONE_TRAIN_EVALUATION_TRAINED_MODEL_H_
#define HALFTONE_TRAIN_EVALUATION_TRAINED_MODEL_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "amp/quantization.h"
#include "amp/recipe.h"
#include "datasets/dataset.h"
#include "nn/module.h"
#include "train/build.h"
#include "train/proto/checkpoint.pb.h"

namespace halftone {

// A run's checkpoint, and the config to go on with.
struct TrainedRun {
  std::string checkpoint;  // the folder of the two files
  CheckpointState state;
  TrainConfig config;  // the run's, with `sets` merged over it
  amp::Recipe trained_in;

  // The data set that the config names, with the first `limit` test images alone; 0: all.
  absl::StatusOr<Dataset> LoadData(int64_t limit) const;
};

// `folder`: a run's (its run.out) or its checkpoint's. Errors are one line: no such folder, no checkpoint in
// it, text of `sets` that is no config.
absl::StatusOr<TrainedRun> OpenRun(const std::string& folder, const std::vector<std::string>& sets);

// Of evaluating a run. InvalidArgument: a batch that is not 1 to 65536, or 0 for the run's; a limit below 0.
absl::Status CheckLimits(int64_t batch_size, int64_t limit);

struct TrainedModel {
  std::unique_ptr<nn::Module> model;
  PrecisionPolicies policies;
  amp::QuantizationSummary quantization;
};

// The model in a recipe: its weights in the dtype that this stores them in, its quantisers as they were
// trained if it is the recipe of the run, else new. With `instead`, which may be empty, these rules and no
// others say what is quantised, nor does the config's precision for parts hold. `device` outlives the model.
absl::StatusOr<TrainedModel> LoadModel(
    const TrainedRun& run, const amp::Recipe& recipe, const Dataset& dataset, Device& device,
    const std::optional<std::vector<amp::QuantizationRule>>& instead = std::nullopt);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_EVALUATION_TRAINED_MODEL_H_
