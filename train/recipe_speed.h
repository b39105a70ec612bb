// Whether a precision recipe pays on this machine: measured, not guessed from the processor's features.
#ifndef HALFTONE_TRAIN_RECIPE_SPEED_H_
#define HALFTONE_TRAIN_RECIPE_SPEED_H_

#include "absl/status/statusor.h"
#include "datasets/dataset.h"
#include "train/proto/train_config.pb.h"

namespace halftone {

// The time of a training step in the config's recipe over that in fp32: below 1 the recipe is faster. A few
// steps of each on random images, or the first sentences, with models and memory of their own that are gone
// afterwards; the config is resolved.
absl::StatusOr<double> StepTimeOverFp32(const TrainConfig& config, const Dataset& dataset);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RECIPE_SPEED_H_
