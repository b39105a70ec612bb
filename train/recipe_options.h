// A Trainer's options for a recipe by itself, as a config that says no more than `precision { recipe: ... }`
// has them.
#ifndef HALFTONE_TRAIN_RECIPE_OPTIONS_H_
#define HALFTONE_TRAIN_RECIPE_OPTIONS_H_

#include "absl/status/statusor.h"
#include "amp/recipe.h"
#include "nn/module.h"
#include "train/trainer.h"

namespace halftone {

// The policy, the quantisers, which are made in the model, and 16-bit weights where the recipe has no float32
// masters. Before a Trainer initialises the model. An error: a block format that does not fit the model's
// widths.
absl::StatusOr<TrainerOptions> RecipeOptions(const amp::Recipe& recipe, nn::Module& model);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RECIPE_OPTIONS_H_
