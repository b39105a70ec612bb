// Precision recipes: what `precision { recipe: "amp_fp16" }` stands for.
#ifndef HALFTONE_AMP_RECIPE_H_
#define HALFTONE_AMP_RECIPE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "nn/cast_policy.h"

namespace halftone::amp {

// Micikevicius et al., "Mixed precision training", 2018: float32 master weights, 16-bit working copies and activations,
// float32 sums, and (for float16, whose exponent is short) a scaled loss.
struct Recipe {
  absl::string_view name;
  absl::string_view about;
  absl::optional<DType> lower;  // none: float32 throughout
  bool scales_loss = false;     // gradient scaling is on unless the config says otherwise
};

absl::Span<const Recipe> Recipes();

// An unknown name is an error that lists the valid ones.
absl::StatusOr<Recipe> FindRecipe(absl::string_view name);

// The casts of a recipe: its lower precision under the op table's classes.
nn::CastPolicy MakePolicy(const Recipe& recipe);

}  // namespace halftone::amp

#endif  // HALFTONE_AMP_RECIPE_H_
