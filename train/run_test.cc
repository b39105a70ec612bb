// Whole runs on the carried sample: what they leave behind, resuming, and bad input.

#include "train/run.h"

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "train/checkpoint/checkpoint.h"
#include "train/config.h"

namespace halftone {
namespace {

constexpr char kSample[] = "datasets/sample/cifar10";

class RunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = absl::StrCat(::testing::TempDir(), "/run_test_",
                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    log_ = std::fopen("/dev/null", "w");
  }
  void TearDown() override { std::fclose(log_); }

  // 3 epochs of 4 steps.
  TrainConfig Config(const std::string& out, const std::string& recipe = "fp32") {
    TrainConfig config;
    const std::string text =
        absl::StrCat(R"(model { name: "cnn" width: 4 } data { name: "cifar10" root: ")", kSample,
                     R"(" batch_size: 16 limit: 64 augment: true } precision { recipe: ")", recipe,
                     R"(" } optimizer { sgd { learning_rate: 0.05 momentum: 0.9 } }
                                          schedule { one_cycle {} } run { epochs: 3 out: ")",
                     dir_, "/", out, "\" }");
    EXPECT_TRUE(MergeText(text, "test", config).ok());
    return config;
  }
  absl::StatusOr<RunResult> Train(const TrainConfig& config) { return RunTraining(config, {.log = log_}); }
  std::string Error(const TrainConfig& config) {
    const absl::Status status = Train(config).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
    return std::string(status.message());
  }
  std::string Read(const std::string& path) { return ReadFile(dir_ + "/" + path).value(); }
  bool Exists(const std::string& path) { return std::filesystem::exists(dir_ + "/" + path); }

  // metrics.csv without the columns of time.
  std::vector<std::string> Metrics(const std::string& out) {
    std::vector<std::string> rows;
    for (const absl::string_view line : absl::StrSplit(Read(out + "/metrics.csv"), '\n', absl::SkipEmpty())) {
      const std::vector<absl::string_view> cells = absl::StrSplit(line, ',');
      rows.push_back(absl::StrJoin(cells.begin(), cells.begin() + 9, ","));
    }
    return rows;
  }

  std::string dir_;
  std::FILE* log_;
};

TEST_F(RunTest, LeavesConfigMetricsAndCheckpoint) {
  const absl::StatusOr<RunResult> result = Train(Config("a", "amp_fp16"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps, 12);
  EXPECT_EQ(result->last.epoch, 3);
  EXPECT_FALSE(result->stopped);
  EXPECT_EQ(Metrics("a").size(), 4u);
  TrainConfig written;
  ASSERT_TRUE(MergeTextFile(dir_ + "/a/config.textproto", written).ok());
  EXPECT_EQ(written.precision().recipe(), "amp_fp16");
  EXPECT_EQ(written.data().batch_size(), 16);
  EXPECT_TRUE(Exists("a/checkpoint/model.safetensors"));
  EXPECT_FALSE(Exists("a/checkpoint.tmp"));
}

TEST_F(RunTest, ResumingEqualsNeverHavingStoppedBitForBit) {
  // The quantised ones remember amax histories, codebooks and scales, and round stochastically.
  for (const std::string recipe :
       {"fp32", "amp_bf16", "amp_fp16", "fp8_hybrid", "fp2", "int4", "mxfp4", "nvfp4"}) {
    SCOPED_TRACE(recipe);
    const std::string whole = recipe + "_whole", parts = recipe + "_parts";
    ASSERT_TRUE(Train(Config(whole, recipe)).ok());
    // Stops in the middle of an epoch, at an epoch's end, and in the middle of the last epoch.
    TrainConfig config = Config(parts, recipe);
    for (const int stop : {3, 8, 11, 0}) {
      config.mutable_run()->set_stop_after_steps(stop);
      const absl::StatusOr<RunResult> result = Train(config);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->stopped, stop != 0);
      EXPECT_EQ(result->steps, stop == 0 ? 12 : stop);
      config.mutable_run()->set_resume(true);
    }
    EXPECT_EQ(Read(whole + "/checkpoint/model.safetensors"), Read(parts + "/checkpoint/model.safetensors"));
    EXPECT_EQ(Metrics(whole), Metrics(parts));
    const CheckpointState a = ReadCheckpointState(dir_ + "/" + whole + "/checkpoint").value();
    const CheckpointState b = ReadCheckpointState(dir_ + "/" + parts + "/checkpoint").value();
    EXPECT_EQ(PrintConfig(a.loss_scale()), PrintConfig(b.loss_scale()));
    EXPECT_EQ(PrintConfig(a.statistics()), PrintConfig(b.statistics()));
    EXPECT_EQ(a.optimizer_steps(), b.optimizer_steps());
  }
}

TEST_F(RunTest, AStopRequestEndsWithACheckpoint) {
  const std::atomic<bool> stop = true;
  const absl::StatusOr<RunResult> result = RunTraining(Config("a"), {.log = log_, .stop = &stop});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->stopped);
  EXPECT_EQ(result->steps, 1);
  EXPECT_EQ(ReadCheckpointState(dir_ + "/a/checkpoint")->step(), 1);
}

TEST_F(RunTest, ARunThatIsThereIsNotLost) {
  ASSERT_TRUE(Train(Config("a")).ok());
  const std::string before = Read("a/checkpoint/model.safetensors");
  TrainConfig config = Config("a", "amp_bf16");
  EXPECT_TRUE(absl::StrContains(Error(config), "holds a run already"));
  EXPECT_EQ(Read("a/checkpoint/model.safetensors"), before);
  config.mutable_run()->set_overwrite(true);
  ASSERT_TRUE(Train(config).ok());
  EXPECT_NE(Read("a/checkpoint/model.safetensors"), before);
}

TEST_F(RunTest, ResumingAnotherRunIsRefused) {
  TrainConfig config = Config("a");
  config.mutable_run()->set_resume(true);
  EXPECT_TRUE(absl::StrContains(Error(config), "has no checkpoint"));
  EXPECT_FALSE(Exists("a"));
  ASSERT_TRUE(Train(Config("a")).ok());
  config.mutable_model()->set_width(8);
  EXPECT_TRUE(absl::StrContains(Error(config), "another config (modified: model.width: 4 -> 8)"));
}

TEST_F(RunTest, ADamagedCheckpointIsRefused) {
  ASSERT_TRUE(Train(Config("a")).ok());
  TrainConfig config = Config("a");
  config.mutable_run()->set_resume(true);
  const std::string path = dir_ + "/a/checkpoint/model.safetensors",
                    bytes = Read("a/checkpoint/model.safetensors");
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, bytes.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, size)).ok());
    EXPECT_TRUE(absl::StrContains(Error(config), "model.safetensors")) << size;
  }
}

TEST_F(RunTest, BadInputLeavesNothingBehind) {
  const auto error = [&](const std::string& change) {
    TrainConfig config = Config("bad");
    EXPECT_TRUE(MergeText(change, "change", config).ok());
    const std::string message = Error(config);
    EXPECT_FALSE(Exists("bad")) << change;
    return message;
  };
  EXPECT_TRUE(absl::StrContains(error("data { root: \"/no/such/folder\" }"), "/no/such/folder"));
  EXPECT_TRUE(absl::StrContains(error("data { name: \"cifar\" }"), "cifar10"));
  EXPECT_TRUE(absl::StrContains(error("model { name: \"resnet\" }"), "valid: mlp, cnn"));
  EXPECT_TRUE(absl::StrContains(error("model { name: \"mlp\" }"), "takes images of 1 x 28 x 28"));
  EXPECT_TRUE(absl::StrContains(error("model { activation: \"rleu\" }"), "relu"));
  EXPECT_TRUE(absl::StrContains(error("loss { softmax: \"flot16\" }"), "float16"));
  EXPECT_TRUE(absl::StrContains(error("loss { softmax: \"e8m0\" }"), "has no sign and no zero"));
  EXPECT_TRUE(absl::StrContains(error("model { name: \"halfbignet\" }"), "is for inference"));
  EXPECT_TRUE(absl::StrContains(error("model { num_classes: 9 }"), "has 10 classes"));
  EXPECT_TRUE(absl::StrContains(error("precision { recipe: \"fp61\" }"), "valid: fp32, amp_bf16, amp_fp16"));
  EXPECT_TRUE(absl::StrContains(error("loss_scale { initial: nan }"), "initial"));
  EXPECT_TRUE(absl::StrContains(error("loss_scale { initial: -1 }"), "initial"));
  EXPECT_TRUE(absl::StrContains(error("optimizer { sgd { momentum: nan } }"), "momentum"));
  EXPECT_TRUE(absl::StrContains(error("schedule { step {} }"), "step_size"));
  EXPECT_TRUE(absl::StrContains(error("data { batch_size: 65 }"), "batch"));
}

TEST_F(RunTest, AnOutFolderThatCannotBeWrittenIsNamed) {
  TrainConfig config = Config("a");
  config.mutable_run()->set_out("/proc/halftone");
  EXPECT_TRUE(absl::StrContains(Error(config), "/proc/halftone"));
}

TEST_F(RunTest, DivergenceStopsAndKeepsTheLastCheckpoint) {
  TrainConfig config = Config("a");
  config.mutable_optimizer()->mutable_sgd()->set_learning_rate(1e30);
  EXPECT_TRUE(absl::StrContains(Error(config), "the loss became"));
}

}  // namespace
}  // namespace halftone
