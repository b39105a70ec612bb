#include "amp/quantization.h"

#include <cmath>
#include <memory>

#include "amp/recipe.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nn/layers.h"

namespace halftone::amp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class Net : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return x; }
  void Visit(nn::Visitor& v) override {
    v("conv1", conv1);
    v("layer1.conv1", conv2);
    v("layer1.conv2", conv3);
    v("fc", fc);
  }

  nn::Conv2d conv1{{.in = 3, .out = 8}}, conv2{{.in = 8, .out = 8}}, conv3{{.in = 8, .out = 8}};
  nn::Linear fc{{.in = 8, .out = 10}};
};

std::vector<std::string> Formats(const QuantizationSummary& summary, Role role) {
  std::vector<std::string> formats;
  for (const QuantizedLayer& layer : summary.layers)
    formats.push_back(layer.formats[static_cast<size_t>(role)]);
  return formats;
}

QuantizationSummary Of(const QuantizationOptions& options) {
  Net net;
  return Quantize(options, net).value();
}

std::string Error(QuantizationRule rule, const RoleFormats& formats = {"fp4", "fp4"}) {
  Net net;
  return std::string(Quantize({.formats = formats, .rules = {std::move(rule)}}, net).status().message());
}

TEST(QuantizationTest, NothingIsQuantisedUnlessAsked) {
  Net net;
  EXPECT_FALSE(Quantize({}, net)->any());
  EXPECT_FALSE(net.fc.quantizers().weight.has_value());
}

TEST(QuantizationTest, TheFirstAndTheLastLayerKeepEightBits) {
  const QuantizationSummary s = Of({.formats = FindRecipe("mxfp4")->quantization});
  EXPECT_THAT(Formats(s, Role::kWeights), ElementsAre("mxfp8", "mxfp4", "mxfp4", "mxfp8"));
  EXPECT_THAT(Formats(s, Role::kGradients), ElementsAre("mxfp8", "mxfp4", "mxfp4", "mxfp8"));
  EXPECT_THAT(s.Lines(),
              ElementsAre("weights mxfp8, activations mxfp8, gradients mxfp8: conv1, fc",
                          "weights mxfp4, activations mxfp4, gradients mxfp4: layer1.conv1, layer1.conv2"));
  EXPECT_THAT(Formats(Of({.formats = {"int4", "fp2"}}), Role::kWeights),
              ElementsAre("int8", "int4", "int4", "int8"));
  EXPECT_THAT(Formats(Of({.formats = {"int4", "fp2"}}), Role::kActivations),
              ElementsAre("fp8", "fp2", "fp2", "fp8"));
  EXPECT_THAT(Formats(Of({.formats = {"fp6", "fp6"}}), Role::kWeights),
              ElementsAre("fp6", "fp6", "fp6", "fp6"));
  EXPECT_THAT(Formats(Of({.formats = {"fp3", "fp3"}, .edges_in_8_bits = false}), Role::kWeights),
              ElementsAre("fp3", "fp3", "fp3", "fp3"));
}

TEST(QuantizationTest, RulesChangeLayersAndRoles) {
  const QuantizationSummary s =
      Of({.formats = {"int8", "int8_affine"},
          .rules = {{.path = "layer1", .roles = {Role::kWeights}, .format = "mxfp4"},
                    {.path = "*conv2", .format = "none"},
                    {.path = "fc", .roles = {Role::kGradients}, .format = "e5m2"}}});
  EXPECT_THAT(Formats(s, Role::kWeights), ElementsAre("int8", "mxfp4", "", "int8"));
  EXPECT_THAT(Formats(s, Role::kActivations), ElementsAre("int8_affine", "int8_affine", "", "int8_affine"));
  EXPECT_THAT(Formats(s, Role::kGradients), ElementsAre("", "", "", "float8_e5m2"));
  EXPECT_EQ(s.layers[1].bits[0], 4.25);
  EXPECT_EQ(s.layers[1].weights, 8 * 8 * 9);
  EXPECT_EQ(s.layers[2].bits[0], 32);
}

TEST(QuantizationTest, EveryRecipeAndEveryFormatIsAttached) {
  for (const Recipe& recipe : Recipes()) {
    Net net;
    const absl::StatusOr<QuantizationSummary> s = Quantize({.formats = recipe.quantization}, net);
    ASSERT_TRUE(s.ok()) << recipe.name << ": " << s.status();
    EXPECT_EQ(s->any(), recipe.quantization.any()) << recipe.name;
    EXPECT_EQ(net.conv2.quantizers().weight.has_value(), !recipe.quantization.weights.empty()) << recipe.name;
    EXPECT_EQ(net.conv2.quantizers().input.has_value(), !recipe.quantization.activations.empty())
        << recipe.name;
    EXPECT_EQ(net.conv2.quantizers().gradient.has_value(), !recipe.quantization.gradients.empty())
        << recipe.name;
  }
  for (const QuantFormat& format : QuantFormats()) {
    const std::string name(NameOf(format));
    for (const Role role : kRoles) EXPECT_EQ(Error({.roles = {role}, .format = name}), "") << name;
  }
}

TEST(QuantizationTest, RefusesWhatCannotBe) {
  EXPECT_THAT(
      Error({.path = "layer7.*", .format = "int8"}),
      "precision.quantize: path \"layer7.*\" matches no layer that can be quantised; the model has conv1, "
      "layer1.conv1, layer1.conv2, fc");
  EXPECT_EQ(Error({.path = "layer7.*", .format = "int8", .must_match = false}), "");
  EXPECT_THAT(Error({.format = "fp5"}),
              HasSubstr("unknown quantisation format \"fp5\"; valid: float8_e4m3fn"));
  EXPECT_THAT(Error({.format = "float8_e8m0fnu"}), HasSubstr("unknown quantisation format"));
  EXPECT_THAT(Error({.format = "float16"}), HasSubstr("unknown quantisation format"));
  EXPECT_THAT(Error({.rounding = Rounding::kStochastic}, {"", ""}), HasSubstr("give a format"));
  EXPECT_THAT(Error({.path = "fc", .format = "fp2", .values = {-1, 1, 0, 2}}),
              HasSubstr("precision.quantize: weights of fc: "));
  EXPECT_THAT(Error({.format = "fp2", .values = {-1, 0, NAN, 2}}), HasSubstr("weights of conv1"));
  EXPECT_THAT(Error({.format = "fp2", .values = {-1, 0, 2}}), HasSubstr("3 values given; fp2 has 4"));
  EXPECT_THAT(Error({.format = "int8", .values = {-1, 0, 1, 2}}), HasSubstr("int8 is no codebook"));
  EXPECT_THAT(Error({.path = "layer1", .format = "mxfp4", .block_size = 16}),
              HasSubstr("block_size 16 does not divide the 72 inputs of an output"));
  EXPECT_EQ(Error({.path = "layer1", .roles = {Role::kGradients}, .format = "mxfp4", .block_size = 16}), "");
  EXPECT_THAT(Error({.format = "mxfp4", .block_size = 0}), HasSubstr("block_size is 0, expected 16 or 32"));
  EXPECT_THAT(Error({.format = "int8", .block_size = 8}), HasSubstr("int8 has no blocks"));
  EXPECT_THAT(Error({.format = "int8", .scale = nn::ScaleSource::kPercentile, .percentile = 101}),
              HasSubstr("percentile is 101"));
  EXPECT_THAT(Error({.format = "e4m3", .history = 0}), HasSubstr("history is 0"));
  EXPECT_THAT(Error({.roles = {Role::kGradients}, .format = "int4", .scale = nn::ScaleSource::kLearned}),
              HasSubstr("cannot be learned"));
  EXPECT_THAT(Error({.roles = {Role::kActivations}, .format = "int8", .per_channel = true}),
              HasSubstr("for weights alone"));
  EXPECT_THAT(Error({.format = "int8_affine", .scale = nn::ScaleSource::kLearned}), HasSubstr("zero point"));
}

// Attention: products of its own around linear maps.
class SelfAttention : public nn::Module, public nn::Quantizable {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return x; }
  void Visit(nn::Visitor& v) override {
    quantizers_.Visit(v);
    v("qkv", qkv);
    v("proj", proj);
  }

  nn::Linear qkv{{.in = 8, .out = 24}}, proj{{.in = 8, .out = 8}};
};
class Transformer : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return x; }
  void Visit(nn::Visitor& v) override { v("attn", attn); }

  SelfAttention attn;
};

TEST(QuantizationTest, ALayerAloneIsWithoutThoseWithinIt) {
  for (const bool alone : {false, true}) {
    Transformer model;
    const QuantizationSummary s =
        Quantize({.rules = {{.path = "attn", .format = "fp4", .alone = alone}}}, model).value();
    std::vector<std::string> quantised;
    for (const QuantizedLayer& layer : s.layers) {
      if (!layer.formats[static_cast<size_t>(Role::kActivations)].empty()) quantised.push_back(layer.path);
    }
    if (alone) {
      EXPECT_THAT(quantised, ElementsAre("attn"));
    } else {
      EXPECT_THAT(quantised, UnorderedElementsAre("attn", "attn.qkv", "attn.proj"));
    }
  }
}

TEST(QuantizationTest, SaysWhatWeightsTake) {
  const QuantizationSummary s = Of({.formats = {"int4", "int4"}, .edges_in_8_bits = false});
  EXPECT_EQ(s.layers[1].weights, 8 * 8 * 9);
  EXPECT_EQ(s.layers[1].weight_bytes, 8 * 8 * 9 / 2 + 8 * 4);  // a scale a channel
  EXPECT_EQ(Of({}).layers[1].weight_bytes, 8 * 8 * 9 * 4);
}

}  // namespace
}  // namespace halftone::amp
