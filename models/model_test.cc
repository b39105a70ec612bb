#include "models/model.h"

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "gtest/gtest.h"
#include "nn/functional.h"

namespace halftone::models {
namespace {

int64_t CountParameters(nn::Module& model) {
  int64_t n = 0;
  nn::ForEachParameter(model, [&](const std::string&, nn::Parameter& p) { n += p.shape().elements(); });
  return n;
}

// What a data set of so many words says of itself, where the model takes texts.
std::optional<TextShape> TextOf(const ModelRow& row, int64_t vocabulary) {
  if (row.vocabulary == 0) return std::nullopt;
  return TextShape{.vocabulary = vocabulary, .max_length = row.max_position};
}

class ModelTableTest : public ::testing::TestWithParam<ModelRow> {};

TEST_P(ModelTableTest, HasThePublishedNumberOfParameters) {
  // At full width, with 10 and with 100 classes.
  const std::map<std::string, std::pair<int64_t, int64_t>> published = {
      {"mlp", {407050, 453220}},           {"cnn", {1557066, 1603236}},
      {"resnet18", {11173962, 11220132}},  {"resnet20", {272474, 278324}},
      {"mobilenetv2", {2236682, 2351972}}, {"vit", {2693578, 2710948}},
      {"mixer", {4360970, 4384100}},       {"gcn", {40586, 52196}},
      {"bignet", {18903040, 18903040}},    {"halfbignet", {18903040, 18903040}},
      {"bert", {109489930, 109559140}},  // 109483009 with the one output of two classes
  };
  const std::string name(GetParam().name);
  ASSERT_TRUE(published.contains(name));
  for (const auto& [classes, count] :
       {std::pair(10, published.at(name).first), std::pair(100, published.at(name).second)}) {
    const auto model = MakeModel({.name = name,
                                  .num_classes = classes,
                                  .image = GetParam().image,
                                  .text = TextOf(GetParam(), GetParam().vocabulary)});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(CountParameters(**model), count);
  }
}

TEST_P(ModelTableTest, GivesLogitsForAnyBatchAndNumberOfClasses) {
  Device device;
  constexpr int kWidth = 12;
  const bool keeps_width = GetParam().keeps_width;
  const ImageShape image =
      keeps_width ? ImageShape{.channels = 3, .height = 2, .width = 2} : GetParam().image;
  const bool text = GetParam().vocabulary > 0;
  for (const auto& [batch, classes] : {std::pair(1, 3), std::pair(5, 10)}) {
    const auto model = MakeModel({.name = std::string(GetParam().name),
                                  .width = kWidth,
                                  .vocabulary = text ? 20 : 0,
                                  .num_classes = classes,
                                  .image = image,
                                  .text = TextOf(GetParam(), 20)});
    ASSERT_TRUE(model.ok()) << model.status();
    nn::Initialize(**model, device, Rng(1));
    nn::Graph graph({.device = &device, .gradients = false});
    const Tensor x =
        text ? Tensor::Zeros(device, DType::kI64, {batch, 3, 7})
             : Tensor::Zeros(device, DType::kF32, {batch, image.height, image.width, image.channels});
    const int logits = keeps_width ? kWidth : classes;
    EXPECT_TRUE((*model)->Forward(graph.Input(x)).shape() == Shape({batch, logits}));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ModelTableTest, ::testing::ValuesIn(Models().begin(), Models().end()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MakeModelTest, RefusesWithOneLineThatListsWhatIsValid) {
  const auto message = [](const ModelOptions& options) {
    return std::string(MakeModel(options).status().message());
  };
  EXPECT_EQ(message({.name = "resnet"}),
            "unknown model \"resnet\"; valid: mlp, cnn, resnet18, resnet20, mobilenetv2, vit, mixer, gcn, "
            "bignet, halfbignet, bert");
  EXPECT_NE(message({.name = "cnn", .activation = "rleu"}).find("unknown activation \"rleu\"; valid: relu"),
            std::string::npos);
  EXPECT_EQ(message({.name = "cnn", .width = -1}), "model width is -1; expected 1 to 65536, or 0 for 64");
  EXPECT_EQ(message({.name = "cnn", .depth = 3}), "model cnn has no depth to choose; leave model.depth out");
  EXPECT_EQ(message({.name = "cnn", .dropout = 0.1}),
            "model cnn has no dropout to choose; leave model.dropout out");
  EXPECT_EQ(message({.name = "cnn", .num_classes = 0}), "model num_classes is 0; expected 1 to 1048576");
  EXPECT_EQ(
      message({.name = "mlp"}),
      "model mlp takes images of 1 x 28 x 28, and these are 3 x 32 x 32; choose another model or data set");
  EXPECT_EQ(message({.name = "bignet"}),
            "model bignet of width 1024 takes images of as many numbers, and these have 3072; set the width "
            "to that");
  EXPECT_EQ(
      message({.name = "bignet",
               .width = 8,
               .num_classes = 10,
               .image = {.channels = 8, .height = 1, .width = 1}}),
      "model bignet gives as many logits as its width, 8, and there are 10 classes; choose another model");
}

TEST(MakeModelTest, RefusesTextsThatTheModelDoesNotTake) {
  const auto message = [](const ModelOptions& options) {
    return std::string(MakeModel(options).status().message());
  };
  const TextShape text = {.vocabulary = 30522, .max_length = 128};
  EXPECT_EQ(message({.name = "bert"}),
            "model bert takes texts, and these are images; choose another model or data set");
  EXPECT_EQ(message({.name = "cnn", .text = text}),
            "model cnn takes images, and these are texts; choose another model or data set");
  EXPECT_EQ(
      message({.name = "bert", .vocabulary = 200, .text = text}),
      "model bert knows 200 words, and the data's vocabulary has 30522; set model.vocabulary to that, or "
      "use the model's vocabulary");
  EXPECT_EQ(message({.name = "bert", .max_position = 64, .text = text}),
            "model bert takes texts of up to 64 tokens, and these have up to 128; lower data.max_length, or "
            "raise model.max_position");
  EXPECT_EQ(message({.name = "cnn", .vocabulary = 9}),
            "model cnn has no vocabulary to choose; leave model.vocabulary out");
  EXPECT_EQ(message({.name = "bert", .mlp_width = -1, .text = text}),
            "model mlp_width is -1; expected 1 to 262144, or 0 for 3072");
  EXPECT_EQ(message({.name = "bert", .width = 100, .text = text}),
            "model bert of width 100 has 12 heads; the number of heads must divide the width");
  EXPECT_TRUE(MakeModel({.name = "bert", .num_classes = 1, .text = text}).ok());
}

}  // namespace
}  // namespace halftone::models
