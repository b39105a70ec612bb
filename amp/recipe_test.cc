#include "amp/recipe.h"

#include <set>
#include <string>

#include "amp/op_table.h"
#include "gtest/gtest.h"

namespace halftone::amp {
namespace {

TEST(OpTableTest, RowsFollowTheEnumAndHaveNamesOfTheirOwn) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < OpTable().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(OpTable()[i].op), i);
    names.insert(nn::NameOf(OpTable()[i].op));
    EXPECT_FALSE(NameOf(OpTable()[i].cast).empty());
  }
  EXPECT_EQ(names.size(), nn::kNumOps);
}

TEST(RecipeTest, Fp32CastsNothing) {
  const nn::CastPolicy policy = MakePolicy(FindRecipe("fp32").value());
  for (const OpRow& row : OpTable()) {
    for (const DType d : {DType::kF64, DType::kF32, DType::kF16}) EXPECT_EQ(policy.Resolve(row.op, d), d);
  }
}

TEST(RecipeTest, AmpLowersProductsAndWidensLosses) {
  for (const auto& [name, lower] :
       {std::pair("amp_fp16", DType::kF16), std::pair("amp_bf16", DType::kBF16)}) {
    const nn::CastPolicy policy = MakePolicy(FindRecipe(name).value());
    EXPECT_EQ(policy.Resolve(nn::Op::kConv2d, DType::kF32), lower);
    EXPECT_EQ(policy.Resolve(nn::Op::kLinear, lower), lower);
    EXPECT_EQ(policy.Resolve(nn::Op::kCrossEntropy, lower), DType::kF32);
    EXPECT_EQ(policy.Resolve(nn::Op::kBatchNorm, lower), lower);
    EXPECT_EQ(policy.Resolve(nn::Op::kBatchNorm, DType::kF32), DType::kF32);
    // Gradient checks run in float64 under any recipe.
    EXPECT_EQ(policy.Resolve(nn::Op::kConv2d, DType::kF64), DType::kF64);
  }
}

TEST(RecipeTest, OnlyFloat16NeedsAScaledLoss) {
  for (const Recipe& recipe : Recipes())
    EXPECT_EQ(recipe.scales_loss, recipe.lower == DType::kF16) << recipe.name;
}

TEST(RecipeTest, AnUnknownNameListsTheValidOnes) {
  const absl::Status status = FindRecipe("amp_fp61").status();
  EXPECT_EQ(
      status.message(),
      "unknown recipe \"amp_fp61\"; valid: fp32, amp_bf16, amp_fp16, pure_bf16, pure_fp16, fp8_hybrid, fp8, "
      "fp6, fp4, fp3, fp2, mxfp8, mxfp6, mxfp4, nvfp4, int8, int4");
}

TEST(RecipeTest, KerasNames) {
  EXPECT_EQ(FindRecipe("mixed_float16")->name, "amp_fp16");
  EXPECT_EQ(FindRecipe("mixed_bfloat16")->name, "amp_bf16");
  EXPECT_FALSE(FindRecipe("").ok());
}

TEST(RecipeTest, APartInFloat32WidensWhatItIsGiven) {
  const nn::CastPolicy part = MakePartPolicy(FindRecipe("fp32").value());
  for (const OpRow& row : OpTable()) {
    EXPECT_EQ(part.Resolve(row.op, DType::kF16), DType::kF32);
    EXPECT_EQ(part.Resolve(row.op, DType::kF32), DType::kF32);
    EXPECT_EQ(part.Resolve(row.op, DType::kF64), DType::kF64);
  }
  const nn::CastPolicy lower = MakePartPolicy(FindRecipe("amp_bf16").value());
  EXPECT_EQ(lower.Resolve(nn::Op::kLinear, DType::kF32), DType::kBF16);
}

TEST(RecipeTest, OpsByName) {
  nn::CastPolicy policy = MakePolicy(FindRecipe("amp_fp16").value());
  ASSERT_TRUE(OverrideOp("linear", "float32", policy).ok());
  EXPECT_EQ(policy.Resolve(nn::Op::kLinear, DType::kF16), DType::kF32);
  EXPECT_EQ(policy.Resolve(nn::Op::kConv2d, DType::kF32), DType::kF16);
  const std::string op(OverrideOp("matmul", "float32", policy).message());
  EXPECT_NE(op.find("unknown op \"matmul\"; valid: conv2d, linear, "), std::string::npos) << op;
  const std::string cast(OverrideOp("linear", "half", policy).message());
  EXPECT_EQ(cast, "unknown cast \"half\"; valid: lower, float32, promote, as_is");
}

}  // namespace
}  // namespace halftone::amp
