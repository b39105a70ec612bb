// Checkpoints of short runs on the carried sample: against what training itself measured, and recipe against
// recipe.

#include "train/evaluation/evaluate.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "train/config.h"
#include "train/run.h"

namespace halftone {
namespace {

class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = absl::StrCat(::testing::TempDir(), "/evaluate_test_",
                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    log_ = std::fopen("/dev/null", "w");
  }
  void TearDown() override { std::fclose(log_); }

  // One epoch of 4 steps, into the folder `out`. With one thread: steps this small gain nothing from more.
  RunResult Train(const std::string& out, const std::string& recipe) {
    TrainConfig config;
    const std::string text = absl::StrCat(
        R"(model { name: "cnn" width: 4 } data { root: "datasets/sample/cifar10" batch_size: 16 limit: 64 }
                        optimizer { sgd { learning_rate: 0.05 momentum: 0.9 } } schedule { multi_step { milestones: 3 } }
                        run { epochs: 1 threads: 1 out: ")",
        dir_, "/", out, R"(" } precision { recipe: ")", recipe, "\" }");
    EXPECT_TRUE(MergeText(text, "test", config).ok());
    const absl::StatusOr<RunResult> result = RunTraining(config, {.log = log_});
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  }
  absl::StatusOr<EvaluationReport> Try(const std::string& folder, EvaluateOptions options = {}) {
    options.log = log_;
    return EvaluateCheckpoint(dir_ + "/" + folder, options);
  }
  EvaluationReport Evaluate(const std::string& folder, const EvaluateOptions& options = {}) {
    absl::StatusOr<EvaluationReport> report = Try(folder, options);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }
  std::string Error(const std::string& folder, const EvaluateOptions& options = {}) {
    const absl::Status status = Try(folder, options).status();
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(absl::StrContains(status.message(), '\n')) << status;
    return std::string(status.message());
  }

  std::string dir_;
  std::FILE* log_;
};

TEST_F(EvaluateTest, EqualsWhatTrainingMeasured) {
  for (const std::string recipe : {"fp32", "amp_bf16", "amp_fp16", "pure_bf16", "pure_fp16"}) {
    SCOPED_TRACE(recipe);
    const RunResult run = Train(recipe, recipe);
    for (const std::string& folder : {recipe, recipe + "/checkpoint"}) {
      const EvaluationReport report = Evaluate(folder);
      EXPECT_EQ(report.trained_in, recipe);
      EXPECT_EQ(report.step, 4);
      EXPECT_EQ(report.batch_size, 16);
      ASSERT_EQ(report.recipes.size(), 1u);
      EXPECT_EQ(report.recipes[0].recipe, recipe);
      EXPECT_EQ(report.recipes[0].accuracy, run.last.test_accuracy);
      EXPECT_EQ(report.recipes[0].loss, run.last.test_loss);
    }
  }
}

TEST_F(EvaluateTest, ARecipeDiffersFromAnotherALittleAndFromItselfNot) {
  Train("a", "amp_fp16");
  const std::vector<RecipeEvaluation> r =
      Evaluate("a", {.recipes = {"fp32", "fp32", "amp_fp16", "amp_bf16", "pure_bf16"}}).recipes;
  ASSERT_EQ(r.size(), 5u);
  EXPECT_EQ(r[0].max_logit_difference, 0);
  EXPECT_EQ(r[1].max_logit_difference, 0);
  EXPECT_EQ(r[1].different_predictions, 0);
  EXPECT_EQ(r[1].loss, r[0].loss);
  // Logits are about 1 in size.
  EXPECT_GT(r[2].max_logit_difference, 0);
  EXPECT_GT(r[3].max_logit_difference, r[2].max_logit_difference);
  EXPECT_GT(r[4].max_logit_difference, r[2].max_logit_difference);
  for (int i = 2; i < 5; ++i) {
    EXPECT_LT(r[i].max_logit_difference, 0.2) << i;
    EXPECT_NEAR(r[i].loss, r[0].loss, 0.02) << i;
  }
}

TEST_F(EvaluateTest, WeightsKeptIn16BitsGoWithEveryRecipe) {
  for (const std::string recipe : {"pure_bf16", "pure_fp16"}) {
    SCOPED_TRACE(recipe);
    const RunResult run = Train(recipe, recipe);
    // Both of the weights' own values, so that only the arithmetic differs.
    for (const RecipeEvaluation& r : Evaluate(recipe, {.recipes = {"fp32", "amp_bf16", recipe}}).recipes) {
      EXPECT_NEAR(r.loss, run.last.test_loss, 0.02) << r.recipe;
    }
    EXPECT_EQ(Evaluate(recipe, {.recipes = {recipe, "pure_fp16", "pure_bf16"}}).recipes.size(), 3u);
  }
}

TEST_F(EvaluateTest, OverridesOfTheConfigHold) {
  Train("a", "fp32");
  for (const char* all32 :
       {R"(override { path: "*" recipe: "fp32" })",
        R"(override { op: "conv2d" cast: "float32" } override { op: "linear" cast: "float32" })"}) {
    const EvaluationReport report =
        Evaluate("a", {.recipes = {"fp32", "amp_bf16"}, .sets = {absl::StrCat("precision { ", all32, " }")}});
    EXPECT_EQ(report.recipes[1].max_logit_difference, 0) << all32;
  }
}

TEST_F(EvaluateTest, CountsMemoryAndTime) {
  Train("a", "fp32");
  const EvaluationReport report =
      Evaluate("a", {.recipes = {"fp32", "amp_bf16", "pure_bf16"}, .batch_size = 32, .limit = 80});
  EXPECT_EQ(report.images, 80);
  EXPECT_EQ(report.batch_size, 32);
  const RecipeEvaluation &fp32 = report.recipes[0], &amp = report.recipes[1], &pure = report.recipes[2];
  // Convolutions 3-4-8-16-32, batch norms with two parameters and two buffers of float32 and a count of
  // int64, linear.
  const int64_t multiplied = 9 * (3 * 4 + 4 * 8 + 8 * 16 + 16 * 32) + 32 * 10,
                others = 4 * (4 + 8 + 16 + 32) + 10;
  EXPECT_EQ(fp32.weight_bytes, 4 * (multiplied + others) + 4 * 8);
  EXPECT_EQ(amp.weight_bytes, fp32.weight_bytes + 2 * multiplied);
  EXPECT_LT(pure.weight_bytes, 0.6 * static_cast<double>(fp32.weight_bytes));
  // The first layer's output at least, and not many times that: nothing is kept for a backward pass.
  constexpr int64_t kFirst = 4 * 32 * 32 * 32 * 4;
  EXPECT_GE(fp32.activation_bytes, kFirst);
  EXPECT_LE(fp32.activation_bytes, 3 * kFirst);
  for (const RecipeEvaluation& r : report.recipes) {
    EXPECT_EQ(r.peak_bytes, r.weight_bytes + r.activation_bytes + 32 * 32 * 32 * 3 * 4) << r.recipe;
    EXPECT_GT(r.median_seconds, 0);
    EXPECT_GE(r.p95_seconds, r.median_seconds);
    EXPECT_GT(r.images_per_second, 0);
  }
}

TEST_F(EvaluateTest, ABatchLargerThanTheSplitIsTheSplit) {
  Train("a", "fp32");
  const EvaluationReport report = Evaluate("a", {.batch_size = 65536, .limit = 20});
  EXPECT_EQ(report.batch_size, 20);
  EXPECT_GT(report.recipes[0].median_seconds, 0);
}

TEST_F(EvaluateTest, BadInputIsRefused) {
  EXPECT_TRUE(absl::StrContains(Error("none"), "there is no"));
  std::filesystem::create_directories(dir_ + "/empty");
  EXPECT_TRUE(absl::StrContains(Error("empty"), "has no checkpoint"));
  Train("a", "fp32");
  EXPECT_TRUE(absl::StrContains(Error("a", {.recipes = {"fp32", "fp17"}}), "valid: fp32, amp_bf16"));
  EXPECT_TRUE(
      absl::StrContains(Error("a", {.sets = {"precision { recipe: \"fp17\" }"}}), "valid: fp32, amp_bf16"));
  EXPECT_TRUE(absl::StrContains(Error("a", {.sets = {"data { root: \"/no/such\" }"}}), "/no/such"));
  EXPECT_TRUE(absl::StrContains(Error("a", {.sets = {"model { width: 8 }"}}), "holds another model"));
  EXPECT_TRUE(absl::StrContains(Error("a", {.batch_size = -1}), "batch_size is -1"));
  EXPECT_TRUE(absl::StrContains(Error("a", {.batch_size = 65537}), "batch_size is 65537"));
  EXPECT_TRUE(absl::StrContains(Error("a", {.limit = -1}), "limit is -1"));
}

TEST(PrintEvaluationTest, HasAColumnForEachRecipe) {
  EvaluationReport report = {.folder = "runs/cnn",
                             .model = "cnn",
                             .dataset = "cifar10",
                             .trained_in = "fp32",
                             .step = 7,
                             .images = 100,
                             .batch_size = 10,
                             .threads = 2,
                             .recipes = {}};
  report.recipes.push_back({.recipe = "fp32", .accuracy = 0.5, .weight_bytes = 3 << 20});
  const std::string one = PrintEvaluation(report);
  EXPECT_TRUE(absl::StartsWith(
      one, "runs/cnn: cnn after step 7 in fp32; 100 test images of cifar10, batches of 10, 2 threads\n"))
      << one;
  EXPECT_FALSE(absl::StrContains(one, "differ")) << one;
  report.recipes.push_back(
      {.recipe = "amp_fp16", .accuracy = 0.25, .different_predictions = 3, .notes = {"so it is"}});
  const std::string two = PrintEvaluation(report);
  EXPECT_TRUE(absl::StrContains(two, "        50.00        25.00\n")) << two;
  EXPECT_TRUE(absl::StrContains(two, "predictions that differ")) << two;
  EXPECT_TRUE(absl::StrContains(two, "note: amp_fp16: so it is\n")) << two;
}

}  // namespace
}  // namespace halftone
