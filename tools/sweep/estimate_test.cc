#include "tools/sweep/estimate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "train/build.h"
#include "train/config.h"
#include "train/run.h"

namespace halftone::sweep {
namespace {

constexpr double kMebibyte = 1 << 20;

TrainConfig Config(const std::string& text) {
  TrainConfig config;
  const std::string whole = absl::StrCat(
      R"(model { name: "cnn" width: 8 } data { root: "datasets/sample/cifar10" batch_size: 40 limit: 80 }
         optimizer { sgd { learning_rate: 0.01 momentum: 0.9 } } run { out: "unused" } )",
      text);
  EXPECT_TRUE(MergeText(whole, "test", config).ok());
  EXPECT_TRUE(ResolveTrainConfig(config).ok());
  return config;
}

RunFacts Estimate(const std::string& text) {
  const TrainConfig config = Config(text);
  const absl::StatusOr<Dataset> dataset = LoadConfiguredDataset(config.data());
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  const absl::StatusOr<RunFacts> facts = EstimateRun(config, *dataset);
  EXPECT_TRUE(facts.ok()) << facts.status();
  return *facts;
}

int64_t Parameters(const std::string& text) {
  const TrainConfig config = Config(text);
  const absl::StatusOr<Dataset> dataset = LoadConfiguredDataset(config.data());
  const absl::StatusOr<std::unique_ptr<nn::Module>> model = MakeConfiguredModel(config, *dataset);
  EXPECT_TRUE(model.ok());
  int64_t n = 0;
  nn::ForEachParameter(**model, [&](const std::string&, nn::Parameter& p) { n += p.shape().elements(); });
  return n;
}

TEST(Estimate, CountsParametersGradientsAndSlots) {
  const double n = static_cast<double>(Parameters("")) * 4 / kMebibyte;
  const RunFacts fp32 = Estimate("");
  EXPECT_NEAR(fp32.memory().parameters(), n, 0.02 * n);  // and batch norms' running statistics
  EXPECT_NEAR(fp32.memory().gradients(), n, 1e-9);
  EXPECT_NEAR(fp32.memory().optimizer(), n, 1e-9);
  EXPECT_EQ(fp32.weight_bits(), 32);
  EXPECT_EQ(fp32.activation_bits(), 32);
  EXPECT_FALSE(fp32.emulated());
  EXPECT_NEAR(Estimate("optimizer { adamw {} }").memory().optimizer(), 2 * n, 1e-9);
  EXPECT_EQ(Estimate("optimizer { sgd { momentum: 0 } }").memory().optimizer(), 0);
}

TEST(Estimate, HasTheBitsOfTheFormats) {
  const RunFacts fp32 = Estimate("");
  const RunFacts fp8 = Estimate("precision { recipe: \"fp8\" }");
  EXPECT_EQ(fp8.weight_bits(), 8);
  EXPECT_EQ(fp8.activation_bits(), 8);
  EXPECT_TRUE(fp8.emulated());
  // Masters of 32 bits and working copies of 8, but for biases and norms.
  EXPECT_NEAR(fp8.memory().parameters(), 1.25 * fp32.memory().parameters(),
              0.02 * fp32.memory().parameters());
  // Indices of the pools stay as they are.
  EXPECT_GT(fp8.memory().activations(), fp32.memory().activations() / 4);
  EXPECT_LT(fp8.memory().activations(), fp32.memory().activations() / 3);
  const RunFacts fp4 = Estimate("precision { recipe: \"fp4\" edges_in_8_bits: false }");
  EXPECT_EQ(fp4.weight_bits(), 4);
  EXPECT_EQ(fp4.activation_bits(), 4);
  const RunFacts edges = Estimate("precision { recipe: \"fp4\" }");
  EXPECT_GT(edges.weight_bits(), 4);
  EXPECT_LT(edges.weight_bits(), 8);
  EXPECT_LT(fp4.memory().activations(), edges.memory().activations());
  EXPECT_LT(edges.memory().activations(), fp8.memory().activations());
}

TEST(Estimate, SixteenBits) {
  const RunFacts fp32 = Estimate("");
  const RunFacts bf16 = Estimate("precision { recipe: \"amp_bf16\" }");
  EXPECT_EQ(bf16.weight_bits(), 16);
  EXPECT_LT(bf16.memory().activations(), 0.7 * fp32.memory().activations());
  EXPECT_NEAR(bf16.memory().parameters(), 1.5 * fp32.memory().parameters(),
              0.03 * fp32.memory().parameters());
  const RunFacts pure = Estimate("precision { recipe: \"pure_bf16\" }");
  EXPECT_EQ(pure.weight_bits(), 16);
  EXPECT_NEAR(pure.memory().parameters(), 0.5 * fp32.memory().parameters(),
              0.03 * fp32.memory().parameters());
  const RunFacts kahan = Estimate("precision { recipe: \"pure_bf16\" weight_rounding: KAHAN }");
  EXPECT_NEAR(kahan.memory().parameters(), fp32.memory().parameters(), 0.03 * fp32.memory().parameters());
}

TEST(Estimate, ActivationsGrowWithTheBatch) {
  const double one = Estimate("").memory().activations();
  EXPECT_NEAR(Estimate("data { batch_size: 80 }").memory().activations(), 2 * one, 0.01 * one);
  EXPECT_NEAR(Estimate("data { batch_size: 80 micro_batches: 2 }").memory().activations(), one, 1e-9);
}

// The allocator's own count of a float32 step: the estimate leaves out what comes and goes.
TEST(Estimate, IsNearWhatIsMeasured) {
  TrainConfig config = Config("model { width: 16 } run { epochs: 1 overwrite: true }");
  config.mutable_run()->set_out(absl::StrCat(::testing::TempDir(), "/estimate_test"));
  std::FILE* log = std::fopen("/dev/null", "w");
  const absl::StatusOr<RunResult> result = RunTraining(config, {.log = log});
  std::fclose(log);
  ASSERT_TRUE(result.ok()) << result.status();
  const double measured = static_cast<double>(result->last.peak_bytes) / kMebibyte;
  const MemoryEstimate m = Estimate("model { width: 16 }").memory();
  const double estimated = m.parameters() + m.gradients() + m.optimizer() + m.activations();
  EXPECT_GT(estimated, 0.5 * measured);
  EXPECT_LT(estimated, 1.1 * measured);
}

}  // namespace
}  // namespace halftone::sweep
