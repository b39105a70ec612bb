#include "train/config.h"

#include <limits>

#include "base/file.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

absl::StatusOr<TrainConfig> Load(const std::string& text, const std::vector<std::string>& sets = {}) {
  const std::string path = ::testing::TempDir() + "/config.textproto";
  EXPECT_TRUE(WriteFileAtomically(path, text).ok());
  absl::StatusOr<TrainConfig> config = LoadTrainConfig(path, sets);
  return config;
}

constexpr char kGood[] = R"(
  model { name: "cnn" width: 8 }
  data { name: "cifar10" root: "/data" }
  optimizer { sgd { learning_rate: 0.1 momentum: 0.9 } }
  schedule { multi_step { milestones: 10 milestones: 20 } })";

TEST(ConfigTest, SetsReplaceScalarsMergeMessagesAndAppendRepeatedFields) {
  const TrainConfig config = Load(kGood, {"model { width: 16 }", "optimizer { sgd { learning_rate: 0.2 } }",
                                          "schedule { multi_step { milestones: 30 } }"})
                                 .value();
  EXPECT_EQ(config.model().name(), "cnn");
  EXPECT_EQ(config.model().width(), 16);
  EXPECT_EQ(config.optimizer().sgd().learning_rate(), 0.2);
  EXPECT_EQ(config.optimizer().sgd().momentum(), 0.9);
  EXPECT_EQ(config.schedule().multi_step().milestones_size(), 3);
}

TEST(ConfigTest, AnotherOptimizerReplacesTheOne) {
  const TrainConfig config = Load(kGood, {"optimizer { adam { beta1: 0.8 } }"}).value();
  EXPECT_FALSE(config.optimizer().has_sgd());
  EXPECT_EQ(config.optimizer().adam().beta1(), 0.8);
}

TEST(ConfigTest, ErrorsNameFileLineAndColumn) {
  const absl::Status syntax = Load("model {\n  name: \"cnn\n}").status();
  EXPECT_NE(syntax.message().find("config.textproto:2:13: "), std::string::npos) << syntax;
  const absl::Status field = Load("model {\n  nmae: \"cnn\"\n}").status();
  EXPECT_NE(field.message().find("config.textproto:2:7: "), std::string::npos) << field;
  EXPECT_NE(field.message().find("has no field named \"nmae\". Valid: name, activation, width, num_classes, "
                                 "depth, heads, dropout, mlp_width, vocabulary, max_position, weights."),
            std::string::npos)
      << field;
  const absl::Status set = Load(kGood, {"model { width: wide }"}).status();
  EXPECT_NE(set.message().find("--set='model { width: wide }':1:16: "), std::string::npos) << set;
  for (const absl::Status& status : {syntax, field, set})
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  EXPECT_EQ(LoadTrainConfig("/no/such.textproto", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ConfigTest, AnyBytesAreRefusedWithOneLine) {
  for (const std::string& bytes :
       {std::string("\0\xff\xfe", 3), std::string(1000, '{'), std::string("model { model {"),
        std::string("\n\n}"), std::string("data { batch_size: 99999999999999999999 }")}) {
    const absl::Status status = Load(bytes).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << status;
  }
}

TEST(ConfigTest, ResolvingFillsInEveryDefaultButNoChoice) {
  TrainConfig config = Load(kGood).value();
  ASSERT_TRUE(ResolveTrainConfig(config).ok());
  EXPECT_TRUE(config.data().has_batch_size());
  EXPECT_EQ(config.data().batch_size(), 128);
  EXPECT_EQ(config.precision().recipe(), "fp32");
  EXPECT_TRUE(config.optimizer().sgd().has_nesterov());
  EXPECT_FALSE(config.loss_scale().has_enabled());  // the recipe's to say
  EXPECT_EQ(config.loss_scale().initial(), 65536);  // the preset's
  EXPECT_FALSE(config.schedule().has_one_cycle());
  // What is written is read back as the same.
  TrainConfig again = Load(PrintConfig(config)).value();
  EXPECT_EQ(FirstDifference(config, again), "");
  again.mutable_model()->set_width(32);
  EXPECT_EQ(FirstDifference(config, again), "modified: model.width: 8 -> 32");
}

TEST(ConfigTest, TheLossScaleFollowsItsPresetButForWhatTheConfigSays) {
  TrainConfig config = Load(kGood, {"loss_scale { preset: \"conservative\" initial: 1024 }"}).value();
  ASSERT_TRUE(ResolveTrainConfig(config).ok());
  EXPECT_EQ(config.loss_scale().initial(), 1024);
  EXPECT_EQ(config.loss_scale().growth_factor(), 1.5);
  EXPECT_EQ(config.loss_scale().backoff_factor(), 0.5);
  EXPECT_EQ(config.loss_scale().growth_interval(), 5000);
  EXPECT_EQ(config.loss_scale().min(), 1);
  EXPECT_EQ(config.loss_scale().max(), 262144);
  config.mutable_loss_scale()->set_preset("bold");
  EXPECT_EQ(ResolveTrainConfig(config).message(),
            "unknown loss scale preset \"bold\"; valid: default, conservative, aggressive, classic");
}

TEST(ConfigTest, RefusesValuesThatNoRunCanHave) {
  const auto error = [](const std::string& set) {
    TrainConfig config = Load(kGood, {set}).value();
    return std::string(ResolveTrainConfig(config).message());
  };
  EXPECT_EQ(error("data { batch_size: 0 }"), "data.batch_size is 0; expected 1 to 65536");
  EXPECT_EQ(error("data { batch_size: -3 }"), "data.batch_size is -3; expected 1 to 65536");
  EXPECT_EQ(error("optimizer { sgd { learning_rate: -0.1 } }"),
            "optimizer.sgd.learning_rate is -0.1; expected a number from 0 on");
  EXPECT_EQ(error("optimizer { adamw { learning_rate: nan } }"),
            "optimizer.adamw.learning_rate is nan; expected a number from 0 on");
  EXPECT_EQ(error("loss { label_smoothing: nan }"), "loss.label_smoothing is nan; expected 0 to 1");
  EXPECT_EQ(error("run { epochs: 0 }"), "run.epochs is 0; expected 1 to 1000000");
  EXPECT_EQ(error("run { out: \"\" }"), "run.out is empty; expected a folder for the run's files");
  EXPECT_NE(error("data { root: \"\" }").find("data.root is empty"), std::string::npos);
  TrainConfig bare;
  bare.mutable_data()->set_root("/data");
  EXPECT_NE(ResolveTrainConfig(bare).message().find("names no optimizer"), absl::string_view::npos);
}

}  // namespace
}  // namespace halftone
