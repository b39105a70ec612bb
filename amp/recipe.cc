#include "amp/recipe.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "amp/op_table.h"

namespace halftone::amp {
namespace {

constexpr Recipe kRecipes[] = {
    {.name = "fp32", .alias = "float32", .about = "float32 throughout"},
    {.name = "amp_bf16",
     .alias = "mixed_bfloat16",
     .about = "bfloat16 working weights and activations, float32 master weights and sums",
     .lower = DType::kBF16},
    {.name = "amp_fp16",
     .alias = "mixed_float16",
     .about = "float16 working weights and activations, float32 master weights and sums, scaled loss",
     .lower = DType::kF16,
     .scales_loss = true},
    {.name = "pure_bf16",
     .about = "bfloat16 weights and activations, no other copy of the weights; float32 sums",
     .lower = DType::kBF16,
     .pure = true},
    {.name = "pure_fp16",
     .about = "float16 weights and activations, no other copy of the weights; float32 sums, scaled loss",
     .lower = DType::kF16,
     .pure = true,
     .scales_loss = true},
};

constexpr struct {
  absl::string_view name;
  nn::CastClass cast;
} kCasts[] = {{"lower", nn::CastClass::kLower},
              {"float32", nn::CastClass::kFloat32},
              {"promote", nn::CastClass::kPromote},
              {"as_is", nn::CastClass::kAsIs}};

}  // namespace

absl::Span<const Recipe> Recipes() { return kRecipes; }

absl::StatusOr<Recipe> FindRecipe(absl::string_view name) {
  for (const Recipe& recipe : kRecipes) {
    if (recipe.name == name || (!name.empty() && recipe.alias == name)) return recipe;
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

nn::CastPolicy MakePartPolicy(const Recipe& recipe) {
  if (recipe.lower.has_value()) return MakePolicy(recipe);
  nn::CastPolicy policy = {.lower = DType::kF32};
  policy.classes.fill(nn::CastClass::kFloat32);
  return policy;
}

absl::Status OverrideOp(absl::string_view op, absl::string_view cast, nn::CastPolicy& policy) {
  const auto name = std::find(nn::kOpNames.begin(), nn::kOpNames.end(), op);
  if (name == nn::kOpNames.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown op \"", op, "\"; valid: ", absl::StrJoin(nn::kOpNames, ", ")));
  }
  const auto row =
      std::find_if(std::begin(kCasts), std::end(kCasts), [&](const auto& r) { return r.name == cast; });
  if (row == std::end(kCasts)) {
    const auto append = [](std::string* out, const auto& r) { absl::StrAppend(out, r.name); };
    return absl::InvalidArgumentError(
        absl::StrCat("unknown cast \"", cast, "\"; valid: ", absl::StrJoin(kCasts, ", ", append)));
  }
  policy.classes[static_cast<size_t>(name - nn::kOpNames.begin())] = row->cast;
  return absl::OkStatus();
}

}  // namespace halftone::amp
