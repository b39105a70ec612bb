#include "train/recipe_options.h"

#include "amp/quantization.h"
#include "base/status_macros.h"

namespace halftone {

absl::StatusOr<TrainerOptions> RecipeOptions(const amp::Recipe& recipe, nn::Module& model) {
  TrainerOptions options = {.policy = amp::MakePolicy(recipe)};
  ASSIGN_OR_RETURN(options.quantization, amp::Quantize({.formats = recipe.quantization}, model));
  if (recipe.pure) options.weights16 = recipe.lower;
  return options;
}

}  // namespace halftone
