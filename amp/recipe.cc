#include "amp/recipe.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "amp/op_table.h"
#include "base/unknown_name.h"

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
    {.name = "fp8_hybrid",
     .about = "float8_e4m3fn weights and activations, float8_e5m2 gradients, a scale each from the last "
              "steps' amax",
     .quantization = {"float8_e4m3fn", "float8_e4m3fn", "float8_e5m2"}},
    {.name = "fp8",
     .about = "weights and activations in learned codebooks of 256 values",
     .quantization = {"fp8", "fp8"}},
    {.name = "fp6",
     .about = "weights and activations in learned codebooks of 64 values",
     .quantization = {"fp6", "fp6"}},
    {.name = "fp4",
     .about = "weights and activations in learned codebooks of 16 values",
     .quantization = {"fp4", "fp4"}},
    {.name = "fp3",
     .about = "weights and activations in learned codebooks of 8 values",
     .quantization = {"fp3", "fp3"}},
    {.name = "fp2",
     .about = "weights and activations in learned codebooks of 4 values",
     .quantization = {"fp2", "fp2"}},
    {.name = "mxfp8",
     .about = "weights, activations and gradients in MXFP8 (E4M3)",
     .quantization = {"mxfp8", "mxfp8", "mxfp8"}},
    {.name = "mxfp6",
     .about = "weights and activations in MXFP6 E2M3, gradients in E3M2, rounded stochastically",
     .quantization = {"mxfp6", "mxfp6", "mxfp6_e3m2"}},
    {.name = "mxfp4",
     .about = "weights, activations and gradients in MXFP4, gradients rounded stochastically",
     .quantization = {"mxfp4", "mxfp4", "mxfp4"}},
    {.name = "nvfp4",
     .about = "weights, activations and gradients in NVFP4, gradients rounded stochastically",
     .quantization = {"nvfp4", "nvfp4", "nvfp4"}},
    {.name = "int8",
     .about = "int8 weights, a scale a channel; int8 activations with a zero point",
     .quantization = {"int8", "int8_affine"}},
    {.name = "int4",
     .about = "int4 weights, a learned scale a channel; int4 activations with a zero point",
     .quantization = {"int4", "int4_affine"}},
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
  return UnknownName("recipe", name, kRecipes);
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
    return UnknownName("op", op, nn::kOpNames, [](absl::string_view row) { return row; });
  }
  const auto row =
      std::find_if(std::begin(kCasts), std::end(kCasts), [&](const auto& r) { return r.name == cast; });
  if (row == std::end(kCasts)) {
    return UnknownName("cast", cast, kCasts);
  }
  policy.classes[static_cast<size_t>(name - nn::kOpNames.begin())] = row->cast;
  return absl::OkStatus();
}

}  // namespace halftone::amp
