// BERT on sentences, from one batch learnt by heart to whole runs from a config.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "amp/recipe.h"
#include "base/file.h"
#include "base/parallel.h"
#include "gtest/gtest.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/module.h"
#include "nn/optim/adam.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"
#include "train/config.h"
#include "train/evaluation/evaluate.h"
#include "train/run.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kBatch = 16, kLength = 12, kWords = 50;

models::ModelOptions Tiny(int64_t classes) {
  return {.name = "bert",
          .width = 16,
          .depth = 2,
          .heads = 2,
          .dropout = 0,
          .vocabulary = kWords,
          .max_position = kLength,
          .num_classes = classes,
          .text = models::TextShape{.vocabulary = kWords, .max_length = kLength}};
}

// Random words, of which the last ones are padding, and random labels.
Batch RandomSentences(Device& device, uint32_t classes) {
  const Rng rng(1);
  Batch batch = {Tensor::Zeros(device, DType::kI64, {kBatch, 3, kLength}),
                 Tensor::Empty(device, DType::kI64, {kBatch})};
  for (int64_t b = 0; b < kBatch; ++b) {
    int64_t* ids = batch.input.data<int64_t>() + b * 3 * kLength;
    const int64_t length = kLength - b % 5;
    for (int64_t i = 0; i < length; ++i) {
      ids[i] = 1 + rng.Below(b * kLength + i, kWords - 1);
      ids[kLength + i] = 1;
    }
    batch.labels.data<int64_t>()[b] = rng.Stream(1).Below(b, classes);
  }
  return batch;
}

class BertOverfitTest : public ::testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(BertOverfitTest, LearnsOneBatchByHeart) {
  SetNumThreads(1);  // such a small network gains nothing by more
  constexpr int kSteps = 150;
  const auto& [recipe_name, classes] = GetParam();
  const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
  Device device(/*notes=*/nullptr);
  Trainer trainer(device, models::MakeModel(Tiny(classes)).value(), MakeAdam({}).value(),
                  MakeConstantSchedule({}, 1e-2, kSteps).value(),
                  GradScaler::Create({.enabled = recipe.scales_loss}).value(),
                  {.policy = amp::MakePolicy(recipe)});
  const uint32_t labels = std::max(2, classes);
  const Batch batch = RandomSentences(device, labels);
  double first = 0, loss = std::numeric_limits<double>::infinity();
  int64_t correct = 0;
  for (int step = 0; step < kSteps && loss > 0.05; ++step) {
    const absl::StatusOr<StepResult> result = trainer.Step(batch);
    ASSERT_TRUE(result.ok()) << result.status();
    if (first == 0) first = result->loss;
    if (!result->skipped) loss = result->loss, correct = result->correct;
  }
  EXPECT_NEAR(first, std::log(labels), 0.1);  // small weights tell nothing apart
  EXPECT_LE(loss, 0.05);
  EXPECT_EQ(correct, kBatch);
}

INSTANTIATE_TEST_SUITE_P(Recipes, BertOverfitTest,
                         ::testing::Combine(::testing::Values("fp32", "amp_bf16", "amp_fp16"),
                                            ::testing::Values(1, 3)),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param), "_", std::get<1>(info.param));
                         });

TEST(BertTest, PaddingChangesNothing) {
  Device device;
  const auto model = models::MakeModel(Tiny(1)).value();
  nn::Initialize(*model, device, Rng(1));
  const Batch batch = RandomSentences(device, 2);
  Tensor other = batch.input.Clone();
  for (int64_t b = 0; b < kBatch; ++b) {
    int64_t* ids = other.data<int64_t>() + b * 3 * kLength;
    for (int64_t i = 0; i < kLength; ++i) {
      if (ids[kLength + i] == 0) ids[i] = 7;
    }
  }
  const auto logits = [&](const Tensor& input) {
    nn::Graph graph({.device = &device, .gradients = false});
    return model->Forward(graph.Input(input)).value();
  };
  EXPECT_FALSE(SameBits(batch.input, other));
  EXPECT_TRUE(SameBits(logits(batch.input), logits(other)));
}

TEST(BertTest, GradientsAreThoseOfFiniteDifferences) {
  SetNumThreads(1);
  Device device;
  models::ModelOptions options = Tiny(1);
  options.width = 4;
  options.depth = 1;
  const auto model = models::MakeModel(options).value();
  nn::Initialize(*model, device, Rng(1));
  nn::ConvertTo(*model, DType::kF64);
  // Larger weights than those of the start, so that every part has a say.
  nn::ForEachParameter(*model, [](const std::string& path, nn::Parameter& p) {
    if (!absl::StrContains(path, "LayerNorm")) {
      for (double& w : p.mutable_master().span<double>()) w *= 15;
    }
  });
  Batch batch = RandomSentences(device, 2);
  const auto loss_on = [&](nn::Graph& graph) {
    return nn::ClassificationLoss(model->Forward(graph.Input(batch.input)), batch.labels);
  };
  nn::Graph graph({.device = &device, .training = true});
  graph.Backward(loss_on(graph));
  nn::ForEachParameter(*model, [&](const std::string& path, nn::Parameter& p) {
    const auto loss = [&] {
      nn::Graph forward({.device = &device, .training = true, .gradients = false});
      return loss_on(forward).Item();
    };
    EXPECT_LT(Distance(p.gradient(), NumericalGradient(loss, p.mutable_master())), 1e-8) << path;
    double largest = 0;
    for (const double g : p.gradient().span<double>()) largest = std::max(largest, std::abs(g));
    // Softmax ignores what is added to every score of a query.
    EXPECT_EQ(largest > 1e-5, !absl::StrContains(path, "key.bias")) << path << " " << largest;
  });
}

TEST(BertTest, DropoutIsTheStepsAlone) {
  Device device;
  models::ModelOptions options = Tiny(1);
  options.dropout = 0.1;
  const auto model = models::MakeModel(options).value();
  nn::Initialize(*model, device, Rng(1));
  const Tensor input = RandomSentences(device, 2).input;
  const auto logits = [&](int step, bool training) {
    nn::Graph graph({.device = &device, .rng = Rng(1).AtStep(step), .training = training});
    return model->Forward(graph.Input(input)).value();
  };
  EXPECT_TRUE(SameBits(logits(1, true), logits(1, true)));
  EXPECT_FALSE(SameBits(logits(1, true), logits(2, true)));
  EXPECT_FALSE(SameBits(logits(1, true), logits(1, false)));
  EXPECT_TRUE(SameBits(logits(1, false), logits(2, false)));
}

TEST(ClassificationLossTest, OneLogitIsTwoClasses) {
  Device device;
  nn::Graph graph({.device = &device, .gradients = false});
  const Tensor labels = Tensor::From<int64_t>(device, {4}, {1, 0, 0, 1});
  const Tensor one = Tensor::From<float>(device, {4, 1}, {2, -1, 0.5, -3});
  const Tensor two = Tensor::From<float>(device, {4, 2}, {0, 2, 0, -1, 0, 0.5, 0, -3});
  for (const double smoothing : {0.0, 0.2}) {
    const double binary =
        nn::ClassificationLoss(graph.Input(one), labels, {.label_smoothing = smoothing}).Item();
    EXPECT_FLOAT_EQ(binary,
                    nn::ClassificationLoss(graph.Input(two), labels, {.label_smoothing = smoothing}).Item());
  }
  EXPECT_EQ(*nn::CountCorrect(one, labels).data<int64_t>(), 2);
  EXPECT_EQ(*nn::CountCorrect(two, labels).data<int64_t>(), 2);
  const Tensor nan = Tensor::From<float>(device, {4, 1}, {NAN, NAN, -1, 1});
  EXPECT_EQ(*nn::CountCorrect(nan, labels).data<int64_t>(), 2);
}

// Runs on the carried sentences.
class BertRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = absl::StrCat(::testing::TempDir(), "/bert_test_",
                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    log_ = std::fopen((dir_ + "/log").c_str(), "w");
  }
  void TearDown() override { std::fclose(log_); }

  // 2 epochs of 10 steps.
  TrainConfig Config(const std::string& out, const std::string& recipe = "fp32") {
    TrainConfig config;
    const std::string text = absl::StrCat(
        R"(model { name: "bert" width: 16 depth: 2 heads: 2 vocabulary: 1000 max_position: 64 }
           data { name: "sst2" root: "datasets/text/testdata/sst2"
                  vocabulary: "datasets/text/testdata/vocab.txt" batch_size: 16 max_length: 20 bucket_batches: 5 }
           optimizer { adamw { learning_rate: 1e-3 } }
           schedule { linear_warmup { warmup_steps: 4 decay: LINEAR } }
           precision { recipe: ")",
        recipe, R"(" } run { epochs: 2 threads: 1 out: ")", dir_, "/", out, "\" }");
    EXPECT_TRUE(MergeText(text, "test", config).ok());
    return config;
  }
  absl::StatusOr<RunResult> Train(const TrainConfig& config) { return RunTraining(config, {.log = log_}); }
  std::string Read(const std::string& path) { return ReadFile(dir_ + "/" + path).value(); }

  std::string dir_;
  std::FILE* log_;
};

TEST_F(BertRunTest, ResumingIsNeverHavingStopped) {
  for (const char* recipe : {"fp32", "amp_bf16", "amp_fp16"}) {
    SCOPED_TRACE(recipe);
    const std::string whole = absl::StrCat(recipe, "_whole"), parts = absl::StrCat(recipe, "_parts");
    const absl::StatusOr<RunResult> straight = Train(Config(whole, recipe));
    ASSERT_TRUE(straight.ok()) << straight.status();
    EXPECT_EQ(straight->steps, 20);
    EXPECT_TRUE(std::isfinite(straight->last.test_loss));
    TrainConfig config = Config(parts, recipe);
    for (const int64_t stop : {7, 10, 13, 0}) {
      config.mutable_run()->set_stop_after_steps(stop);
      const absl::StatusOr<RunResult> result = Train(config);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->stopped, stop > 0);
      config.mutable_run()->set_resume(true);
    }
    EXPECT_EQ(Read(whole + "/checkpoint/model.safetensors"), Read(parts + "/checkpoint/model.safetensors"));
    const absl::StatusOr<EvaluationReport> report =
        EvaluateCheckpoint(dir_ + "/" + whole, {.recipes = {recipe, "fp32"}, .limit = 30, .log = log_});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->images, 30);
    EXPECT_LT(report->recipes[1].max_logit_difference, 0.1);
  }
  std::fflush(log_);
  const std::string log = Read("log");
  EXPECT_TRUE(absl::StrContains(log, "(160 training and 40 test sentences)")) << log;
  EXPECT_TRUE(absl::StrContains(log, " of 160 sentences were cut, the longest has 20 tokens; ")) << log;
  // Rows of tables that no sentence of a batch looks up have no gradient; that is nothing to warn of.
  EXPECT_FALSE(absl::StrContains(log, "gradients of bert.embeddings")) << log;
}

TEST_F(BertRunTest, StartsFromTheWeightsOfAFile) {
  ASSERT_TRUE(Train(Config("first")).ok());
  TrainConfig config = Config("second");
  config.mutable_model()->set_weights(dir_ + "/first/checkpoint/model.safetensors");
  config.mutable_optimizer()->mutable_adamw()->set_learning_rate(0);
  ASSERT_TRUE(Train(config).ok());
  EXPECT_EQ(Read("first/checkpoint/model.safetensors"), Read("second/checkpoint/model.safetensors"));
  std::fflush(log_);
  EXPECT_TRUE(absl::StrContains(Read("log"), ", 100 % of the model's numbers, from ")) << Read("log");
}

TEST_F(BertRunTest, BadInputLeavesNothingBehind) {
  const auto error = [&](const std::string& change) {
    TrainConfig config = Config("bad");
    EXPECT_TRUE(MergeText(change, "change", config).ok());
    const absl::Status status = Train(config).status();
    EXPECT_FALSE(status.ok()) << change;
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/bad")) << change;
    return std::string(status.message());
  };
  const auto expect = [&](const std::string& change, absl::string_view part) {
    const std::string message = error(change);
    EXPECT_TRUE(absl::StrContains(message, part)) << message;
  };
  expect("model { name: \"cnn\" width: 0 depth: 0 heads: 0 vocabulary: 0 max_position: 0 }",
         "model cnn takes images, and these are texts");
  expect("data { name: \"mnist\" root: \"datasets/text/testdata\" }", "images");
  expect("model { vocabulary: 500 }", "model bert knows 500 words, and the data's vocabulary has 970");
  expect("model { max_position: 10 }", "takes texts of up to 10 tokens, and these have up to 20");
  expect("model { heads: 3 }", "the number of heads must divide the width");
  expect("model { num_classes: -1 }", "num_classes is -1");
  expect("model { weights: \"no/such/file.safetensors\" }", "no/such/file.safetensors");
  expect("data { vocabulary: \"\" }", "data.vocabulary");
  expect("data { vocabulary: \"no/such/file\" }", "no/such/file");
  expect("data { root: \"no/such/folder\" }", "train.tsv and dev.tsv");
  expect("data { max_length: 2 }", "data.max_length is 2; expected 3 to ");
  expect("data { bucket_batches: 0 }", "data.bucket_batches is 0");
  expect("data { augment: true }", "leave data.augment out");
  expect("data { batch_size: 161 micro_batches: 1 }", "sentences, fewer than one batch");
}

}  // namespace
}  // namespace halftone
