#include "amp/recipe.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "amp/op_table.h"

namespace halftone::amp {
namespace {

constexpr Recipe kRecipes[] = {
    {.name = "fp32", .about = "float32 throughout"},
    {.name = "amp_bf16",
     .about = "bfloat16 working weights and activations, float32 master weights and sums",
     .lower = DType::kBF16},
    {.name = "amp_fp16",
     .about = "float16 working weights and activations, float32 master weights and sums, scaled loss",
     .lower = DType::kF16,
     .scales_loss = true},
};

}  // namespace

absl::Span<const Recipe> Recipes() { return kRecipes; }

absl::StatusOr<Recipe> FindRecipe(absl::string_view name) {
  for (const Recipe& recipe : kRecipes) {
    if (recipe.name == name) return recipe;
  }
  const auto append = [](std::string* out, const Recipe& r) { absl::StrAppend(out, r.name); };
  return absl::InvalidArgumentError(
      absl::StrCat("unknown recipe \"", name, "\"; valid: ", absl::StrJoin(kRecipes, ", ", append)));
}

nn::CastPolicy MakePolicy(const Recipe& recipe) {
  nn::CastPolicy policy;
  policy.lower = recipe.lower;
  for (const OpRow& row : OpTable()) policy.classes[static_cast<size_t>(row.op)] = row.cast;
  return policy;
}

}  // namespace halftone::amp
