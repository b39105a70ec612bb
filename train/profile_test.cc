#include "train/profile.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "train/config.h"

namespace halftone {
namespace {

TrainConfig Config(const std::string& recipe) {
  TrainConfig config;
  const std::string text =
      R"(model { name: "cnn" width: 4 } data { root: "datasets/sample/cifar10" batch_size: 16 limit: 160 }
                              run { threads: 1 } optimizer { sgd { learning_rate: 0.01 } } precision { recipe: ")" +
      recipe + "\" }";
  EXPECT_TRUE(MergeText(text, "test", config).ok());
  return config;
}

const ProfileRow* Find(const std::vector<ProfileRow>& rows, const std::string& name) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const ProfileRow& r) { return r.name == name; });
  return it == rows.end() ? nullptr : &*it;
}

TEST(ProfileTest, TimesAddUpToTheStep) {
  const StepProfile p = ProfileTraining(Config("amp_bf16"), 2, 4).value();
  for (const auto* rows : {&p.by_layer, &p.by_op}) {
    double sum = 0;
    for (const ProfileRow& row : *rows) sum += row.total_ms();
    EXPECT_LE(sum, p.step_ms * 1.0001);
    EXPECT_GT(sum, 0.7 * p.step_ms);  // between the passes and around the ops there is little
    EXPECT_TRUE(std::is_sorted(rows->begin(), rows->end(), [](const ProfileRow& a, const ProfileRow& b) {
      return a.total_ms() > b.total_ms();
    }));
  }
  const ProfileRow* conv = Find(p.by_op, "conv2d");
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv->calls, 4);
  // bfloat16 maps of 32 x 32 x 4, 16 x 16 x 8, 8 x 8 x 16 and 4 x 4 x 32 for 16 images.
  EXPECT_EQ(conv->forward_bytes, 16 * 2 * (32 * 32 * 4 + 16 * 16 * 8 + 8 * 8 * 16 + 4 * 4 * 32));
  EXPECT_GT(conv->backward_ms, 0);
  EXPECT_NE(Find(p.by_op, "optimizer"), nullptr);
  EXPECT_NE(Find(p.by_layer, "conv1"), nullptr);
  EXPECT_NE(Find(p.by_layer, "(step)"), nullptr);
  EXPECT_EQ(p.parameters, 4 * 27 + 8 + 8 * 36 + 16 + 16 * 72 + 32 + 32 * 144 + 64 + 330);
  EXPECT_TRUE(absl::StrContains(PrintProfile(p, 2), "more\n"));
}

TEST(ProfileTest, QuantisersAreOpsOfTheirOwn) {
  const StepProfile p = ProfileTraining(Config("int8"), 1, 1).value();
  const ProfileRow* quantize = Find(p.by_op, "fake_quantize");
  ASSERT_NE(quantize, nullptr);
  EXPECT_EQ(quantize->calls, 10);
  EXPECT_NE(Find(p.by_layer, "conv1.weight_quantizer"), nullptr);
}

TEST(ProfileTest, TheTraceIsJsonOfEventsInOrder) {
  const StepProfile p = ProfileTraining(Config("fp32"), 1, 2).value();
  const nlohmann::json trace = nlohmann::json::parse(p.trace);
  double end = 0;
  std::set<std::string> phases;
  int spans = 0;
  for (const auto& e : trace["traceEvents"]) {
    if (e["ph"] != "X") continue;
    ++spans;
    phases.insert(e["cat"]);
    EXPECT_GE(e["ts"].get<double>(), end - 0.01);
    EXPECT_GE(e["dur"].get<double>(), 0);
    end = e["ts"].get<double>() + e["dur"].get<double>();
  }
  EXPECT_GT(spans, 30);
  EXPECT_EQ(phases, (std::set<std::string>{"forward", "backward", "update"}));
}

TEST(ProfileTest, Refuses) {
  EXPECT_FALSE(ProfileTraining(Config("fp32"), 1, 0).ok());
  EXPECT_FALSE(ProfileTraining(Config("fp31"), 1, 1).ok());
}

}  // namespace
}  // namespace halftone
