// Precision recipes: what `precision { recipe: "amp_fp16" }` stands for.
#ifndef HALFTONE_AMP_RECIPE_H_
#define HALFTONE_AMP_RECIPE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "amp/quantization.h"
#include "nn/cast_policy.h"

namespace halftone::amp {

struct Recipe {
  absl::string_view name;
  absl::string_view alias;  // Keras' name, where it has one
  absl::string_view about;
  absl::optional<DType> lower;  // none: float32 throughout
  // Nothing is kept of the weights but their values in `lower`; see WeightRounding (nn/optim/optimizer.h).
  // Otherwise float32 master weights are: Micikevicius et al., "Mixed Precision Training", 2018.
  bool pure = false;
  bool scales_loss = false;  // gradient scaling is on unless the config says otherwise
  RoleFormats quantization = {};
};

absl::Span<const Recipe> Recipes();

// By its name or its alias. An unknown one is an error that lists the valid ones.
absl::StatusOr<Recipe> FindRecipe(absl::string_view name);

// The casts of a recipe: its lower precision under the op table's classes.
nn::CastPolicy MakePolicy(const Recipe& recipe);

// The same for a part of a network that otherwise follows another recipe: without a lower precision
// everything in it is float32, whatever it is given.
nn::CastPolicy MakePartPolicy(const Recipe& recipe);

// Puts an op, by its name, into another class of cast, by its name: "lower", "float32", "promote" or "as_is".
// Errors list the valid names.
absl::Status OverrideOp(absl::string_view op, absl::string_view cast, nn::CastPolicy& policy);

}  // namespace halftone::amp

#endif  // HALFTONE_AMP_RECIPE_H_
