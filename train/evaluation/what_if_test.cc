// What quantising would do to a network that was trained on the carried sample, and a budget spent by it.

#include "train/evaluation/what_if.h"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "train/config.h"
#include "train/evaluation/allocate_bits.h"
#include "train/evaluation/evaluate.h"
#include "train/run.h"

namespace halftone {
namespace {

class WhatIfTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    log_ = std::fopen("/dev/null", "w");
    run_ = absl::StrCat(::testing::TempDir(), "/what_if_test");
    TrainConfig config;
    const std::string text = absl::StrCat(
        R"(model { name: "cnn" width: 8 } data { root: "datasets/sample/cifar10" batch_size: 50 }
           optimizer { sgd { learning_rate: 0.05 momentum: 0.9 } }
           run { epochs: 12 threads: 1 overwrite: true out: ")",
        run_, R"(" })");
    ASSERT_TRUE(MergeText(text, "test", config).ok());
    const absl::StatusOr<RunResult> result = RunTraining(config, {.log = log_});
    ASSERT_TRUE(result.ok()) << result.status();
    accuracy_ = result->last.test_accuracy;
  }
  static void TearDownTestSuite() { std::fclose(log_); }

  static WhatIfReport Ask(WhatIfOptions options) {
    options.log = log_;
    absl::StatusOr<WhatIfReport> report = AskWhatIf(run_, options);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }
  static absl::StatusOr<BitAllocation> Allocate(AllocateBitsOptions options) {
    options.log = log_;
    return AllocateBits(run_, options);
  }

  static std::string run_;
  static std::FILE* log_;
  static double accuracy_;
};

std::string WhatIfTest::run_;
std::FILE* WhatIfTest::log_;
double WhatIfTest::accuracy_;

TEST_F(WhatIfTest, FewerBitsLoseMore) {
  const WhatIfReport report = Ask({.formats = {"fp8", "mxfp4", "int2"}});
  EXPECT_DOUBLE_EQ(report.accuracy, accuracy_);
  ASSERT_EQ(report.formats.size(), 3u);
  const size_t layers = 5;  // four convolutions and fc
  for (const WhatIfFormat& f : report.formats) {
    ASSERT_EQ(f.rows.size(), layers + 1);
    EXPECT_EQ(f.rows[0].layer, "conv1");
    EXPECT_EQ(f.rows[4].layer, "fc");
    EXPECT_EQ(f.rows[5].layer, "");
    int64_t weights = 0;
    for (size_t i = 0; i < layers; ++i) {
      EXPECT_EQ(f.rows[i].weight_error.elements, f.rows[i].weights);
      EXPECT_GT(f.rows[i].activation_error.elements, 0);
      weights += f.rows[i].weights;
    }
    EXPECT_EQ(f.rows[5].weight_error.elements, weights);
  }
  for (size_t i = 0; i <= layers; ++i) {
    EXPECT_GT(report.formats[0].rows[i].weight_error.sqnr_db(),
              report.formats[1].rows[i].weight_error.sqnr_db() + 5);
    EXPECT_GT(report.formats[1].rows[i].weight_error.sqnr_db(),
              report.formats[2].rows[i].weight_error.sqnr_db() + 5);
  }
  EXPECT_NEAR(report.formats[0].rows[5].accuracy, report.accuracy, 0.02);
  EXPECT_GT(report.formats[2].rows[5].loss, report.loss + 0.1);
  const std::string text = PrintWhatIf(report);
  EXPECT_TRUE(absl::StrContains(text, "mxfp4, 4.25 bits an element, emulated")) << text;
}

TEST_F(WhatIfTest, Refuses) {
  EXPECT_TRUE(
      absl::StrContains(AskWhatIf(run_, {.formats = {"fp5"}}).status().message(), "\"fp5\"; valid: "));
  EXPECT_FALSE(AskWhatIf(run_, {}).ok());
  EXPECT_FALSE(AskWhatIf(run_ + "_none", {.formats = {"fp4"}}).ok());
}

TEST_F(WhatIfTest, ABudgetIsKeptAndGoesWhereItServesMost) {
  const std::vector<std::string> formats = {"none", "fp8", "fp4", "fp2"};
  double before = HUGE_VAL;
  for (const double bits : {2.1, 3.0, 5.0, 32.0}) {
    const absl::StatusOr<BitAllocation> a = Allocate({.formats = formats, .budget_bits = bits, .limit = 100});
    ASSERT_TRUE(a.ok()) << a.status();
    EXPECT_LE(a->bytes, a->budget_bytes);
    EXPECT_LE(a->predicted_loss, before);
    before = a->predicted_loss;
    int quantised = 0;
    for (const AllocatedLayer& layer : a->layers) quantised += layer.format != "none";
    EXPECT_EQ(a->config.precision().quantize_size(), quantised);
  }
  EXPECT_LE(before, 0);  // float32 costs nothing
}

TEST_F(WhatIfTest, TheConfigOfAnAllocationTrains) {
  const absl::StatusOr<BitAllocation> a =
      Allocate({.formats = {"mxfp8", "mxfp4"}, .budget_bits = 6, .limit = 50});
  ASSERT_TRUE(a.ok()) << a.status();
  TrainConfig config = a->config;
  config.mutable_run()->set_out(run_ + "_allocated");
  config.mutable_run()->set_overwrite(true);
  config.mutable_run()->set_epochs(1);
  const absl::StatusOr<RunResult> result = RunTraining(config, {.log = log_});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->last.test_accuracy, accuracy_ - 0.15);  // it starts from the weights that were measured
}

TEST_F(WhatIfTest, TheReferenceIsFloat32WhateverTheRunQuantises) {
  TrainConfig config;
  const std::string out = run_ + "_int2";
  ASSERT_TRUE(MergeText(absl::StrCat(R"(model { name: "cnn" width: 8 weights: ")", run_,
                                     R"(/checkpoint/model.safetensors" }
                                        data { root: "datasets/sample/cifar10" batch_size: 50 }
                                        precision { quantize { path: "*" role: WEIGHTS format: "int2" } }
                                        optimizer { sgd { learning_rate: 1e-6 } }
                                        run { epochs: 1 threads: 1 overwrite: true out: ")",
                                     out, R"(" })"),
                        "test", config)
                  .ok());
  ASSERT_TRUE(RunTraining(config, {.log = log_}).ok());
  const absl::StatusOr<WhatIfReport> report = AskWhatIf(out, {.formats = {"int2"}, .log = log_});
  ASSERT_TRUE(report.ok()) << report.status();
  const absl::StatusOr<EvaluationReport> evaluated =
      EvaluateCheckpoint(out, {.recipes = {"fp32", "amp_bf16"}, .log = log_});
  ASSERT_TRUE(evaluated.ok()) << evaluated.status();
  // The first is as trained, in int2; the second without, but for bfloat16's rounding.
  const double as_trained = std::fabs(report->loss - evaluated->recipes[0].loss),
               without = std::fabs(report->loss - evaluated->recipes[1].loss);
  EXPECT_LT(without, 0.02);
  EXPECT_GT(as_trained, 3 * without);
  EXPECT_GT(as_trained, 0.02);
}

TEST_F(WhatIfTest, ABudgetThatIsTooSmallOrNone) {
  EXPECT_TRUE(absl::StrContains(
      Allocate({.formats = {"fp8"}, .budget_bytes = 10, .limit = 50}).status().message(), "too small"));
  EXPECT_FALSE(Allocate({.formats = {"fp8"}}).ok());
  EXPECT_FALSE(Allocate({.formats = {"fp8"}, .budget_bytes = 10, .budget_bits = 3}).ok());
}

}  // namespace
}  // namespace halftone
