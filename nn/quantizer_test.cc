#include "nn/quantizer.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nn/functional.h"
#include "nn/layers.h"
#include "quant/formats.h"
#include "quant/scales.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

QuantFormat Format(absl::string_view name) { return FindQuantFormat(name).value(); }

class QuantizerTest : public ::testing::Test {
 protected:
  // As the only part of a network.
  struct Root : Module {
    explicit Root(const QuantizerOptions& options, int64_t outputs = 0) : quantizer(options, outputs) {}
    Variable Forward(const Variable& x) override { return quantizer(x); }
    void Visit(Visitor& v) override { v("q", quantizer); }
    Quantizer quantizer;
  };

  GraphOptions Training(uint64_t step = 0) {
    return {.device = &device_, .rng = Rng(1).AtStep(step), .training = true};
  }
  GraphOptions Evaluating() { return {.device = &device_, .gradients = false}; }
  // One example's features.
  Tensor Of(const std::vector<float>& x) {
    return Tensor::From<float>(device_, {1, static_cast<int64_t>(x.size())}, x);
  }
  std::vector<float> Run(Root& root, const GraphOptions& options, const std::vector<float>& x) {
    Graph graph(options);
    const Tensor y = root(graph.Input(Of(x))).value();
    return {y.span<float>().begin(), y.span<float>().end()};
  }
  // The gradient of sum(w y), where w is 1, 2, 3, ...
  std::vector<float> Gradient(Root& root, const std::vector<float>& x) {
    Graph graph(Training());
    const Variable in = graph.Input(Of(x), /*requires_grad=*/true);
    std::vector<float> w(x.size());
    for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i + 1);
    const Variable y = root(in);
    const Variable sum = graph.Record("weighted_sum", Tensor::Zeros(device_, DType::kF32, {}), {y},
                                      [w = Of(w)](BackwardContext& c) { c.Give(0, w); });
    graph.Backward(sum);
    const Tensor& g = graph.Gradient(in);
    return {g.span<float>().begin(), g.span<float>().end()};
  }

  Device& device_ = TestDevice();
};

TEST_F(QuantizerTest, RoundsToTheFormatAndStopsGradientsOutside) {
  // A scale of 2^-1: int4 has -7 to 7 halves.
  Root root({.format = Format("int4"), .scale = ScaleSource::kPercentile, .percentile = 75});
  Initialize(root, device_, Rng(1));
  const std::vector<float> x = {-3.5, 0.2f, 0.3f, 100};
  EXPECT_THAT(Run(root, Training(), x), ElementsAre(-3.5, 0, 0.5, 3.5));
  EXPECT_THAT(Gradient(root, x), ElementsAre(1, 2, 3, 0));
}

TEST_F(QuantizerTest, ADelayedScaleIsThatOfTheTensorsBefore) {
  Root root({.format = Format("float8_e4m3fn"), .scale = ScaleSource::kDelayed, .history = 2});
  Initialize(root, device_, Rng(1));
  EXPECT_THAT(Run(root, Training(), {448, 1}), ElementsAre(448, 1));  // nothing is known yet
  EXPECT_THAT(Run(root, Training(), {4480, 1}), ElementsAre(448, 1));
  // Evaluation remembers nothing.
  EXPECT_THAT(Run(root, Evaluating(), {44800, 1}), ElementsAre(4480, Run(root, Evaluating(), {1})[0]));
  EXPECT_THAT(Run(root, Training(), {1, 44800})[1], 4480);
  EXPECT_THAT(Run(root, Training(), {1, 44800})[1], 44800);
  EXPECT_THAT(Run(root, Training(), {1, 44800})[1], 44800);
}

TEST_F(QuantizerTest, AReplayedStepRemembersNothing) {
  Root root({.format = Format("float8_e4m3fn"), .scale = ScaleSource::kDelayed, .history = 1});
  Initialize(root, device_, Rng(1));
  Run(root, Training(), {448});
  GraphOptions replay = Training();
  replay.replay = true;
  Run(root, replay, {4480});
  EXPECT_THAT(Run(root, Training(), {4480}), ElementsAre(448));
}

TEST_F(QuantizerTest, LearnsAScaleAsLsqDoes) {
  Root root({.format = Format("int4"), .scale = ScaleSource::kLearned});
  Initialize(root, device_, Rng(1));
  const std::vector<float> x = {0.3f, -0.8f, 1.2f, 5};
  const float scale = LsqInitialScale(x, 7);
  Gradient(root, x);
  std::vector<Parameter*> params = Parameters(root);
  ASSERT_EQ(params.size(), 1u);
  EXPECT_EQ(params[0]->path(), "q.scale");
  EXPECT_FALSE(params[0]->decays());
  EXPECT_EQ(params[0]->master().span<float>()[0], scale);
  double expected = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double q = x[i] / scale;
    expected += static_cast<double>(i + 1) * (q > 7 ? 7 : std::nearbyint(q) - q);
  }
  EXPECT_NEAR(params[0]->gradient().span<float>()[0], expected / std::sqrt(4 * 7.0), 1e-5);
}

TEST_F(QuantizerTest, LearnsTheValuesOfACodebook) {
  Root root({.format = Format("fp2"),
             .scale = ScaleSource::kNone,
             .start = CodebookStart::kGiven,
             .values = {-1, 0, 1, 3}});
  Initialize(root, device_, Rng(1));
  // Values that are learned are the numbers themselves: there is no scale.
  EXPECT_THAT(Run(root, Training(), {-5, -0.4f, 0.6f, 1.1f, 2.5f}), ElementsAre(-1, 0, 1, 1, 3));
  EXPECT_THAT(Gradient(root, {-5, -0.4f, 0.6f, 1.1f, 2.5f}), ElementsAre(0, 2, 3, 4, 5));
  std::vector<Parameter*> params = Parameters(root);
  ASSERT_EQ(params.size(), 1u);
  // What each value stands for, -5 of the lowest too; then LSQ's balance.
  const double balance = LsqGradientFactor(5, 1);
  const absl::Span<const float> g = params[0]->gradient().span<float>();
  EXPECT_THAT(g, ElementsAre(static_cast<float>(balance * 1), static_cast<float>(balance * 2),
                             static_cast<float>(balance * 7), static_cast<float>(balance * 5)));
}

TEST_F(QuantizerTest, ValuesOfWeightsMoveAsTheWeightsThatTheyStandFor) {
  Root root({.format = Format("fp2"),
             .scale = ScaleSource::kCurrent,
             .per_channel = true,
             .start = CodebookStart::kGiven,
             .values = {-1, -0.25f, 0.25f, 1}},
            /*outputs=*/2);
  Initialize(root, device_, Rng(1));
  // Amax and so scale is 2 in either channel; each value stands for two weights, as on average.
  Gradient(root, {-2, -0.5f, 0.5f, 2, -2, -0.5f, 0.5f, 2});
  const absl::Span<const float> g = Parameters(root)[0]->gradient().span<float>();
  // The mean of the weights' gradients, over the scale, in whose unit the values are: half of them.
  EXPECT_THAT(g, ElementsAre((1 + 5) / 2 / 2.0f, (2 + 6) / 2 / 2.0f, (3 + 7) / 2.0f / 2, (4 + 8) / 2 / 2.0f));
}

TEST_F(QuantizerTest, ABatchOfAlikeExamplesTeachesWhatOneDoes) {
  // As a mean over the batch, which losses are, does: gradients are those of one example over their number.
  for (const int64_t batch : {1, 4}) {
    Root root({.format = Format("fp2"),
               .scale = ScaleSource::kNone,
               .start = CodebookStart::kGiven,
               .values = {-1, 0, 1, 3}});
    Initialize(root, device_, Rng(1));
    const auto filled = [&](double v) {
      return Tensor::From<float>(device_, {batch, 9}, std::vector<float>(9 * batch, static_cast<float>(v)));
    };
    Graph graph(Training());
    const Variable y = root(graph.Input(filled(1.2), /*requires_grad=*/true));
    const Variable mean = graph.Record("mean", Tensor::Zeros(device_, DType::kF32, {}), {y},
                                       [&](BackwardContext& c) { c.Give(0, filled(1.0 / batch)); });
    graph.Backward(mean);
    EXPECT_FLOAT_EQ(Parameters(root)[0]->gradient().span<float>()[2], 9 / std::sqrt(9.0f)) << batch;
  }
}

TEST_F(QuantizerTest, AnEmptyBatchIsQuantised) {
  for (const char* format : {"int8", "fp4", "float8_e4m3fn"}) {
    Root root({.format = Format(format)});
    Initialize(root, device_, Rng(1));
    Graph graph(Training());
    const Tensor none = Tensor::Empty(device_, DType::kF32, {0, 7});
    EXPECT_EQ(root(graph.Input(none, /*requires_grad=*/true)).value().elements(), 0) << format;
  }
}

TEST_F(QuantizerTest, ACodebookOfGradientsHasBothSigns) {
  Root root({.format = Format("fp4"), .start = CodebookStart::kGrid, .learned = false});
  Initialize(root, device_, Rng(1));
  // Of a first batch of one class, say.
  Graph graph(Training());
  root.quantizer.Quantize(Of({1, 2, 4}), graph);
  EXPECT_THAT(root.quantizer.Quantize(Of({-4, 4}), graph).span<float>(), ElementsAre(-4, 4));
}

TEST_F(QuantizerTest, ACodebookStartsFromTheFirstTensor) {
  std::vector<float> x;
  for (int i = 0; i < 4096; ++i) x.push_back(Rng(3).Normal(i) * 0.01f);
  for (const ScaleSource scale :
       {ScaleSource::kNone, ScaleSource::kCurrent, ScaleSource::kDelayed, ScaleSource::kLearned}) {
    Root root({.format = Format("fp3"), .scale = scale});
    Initialize(root, device_, Rng(1));
    const std::vector<float> y = Run(root, Training(), x);
    double error = 0, power = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      error += (y[i] - x[i]) * (y[i] - x[i]);
      power += x[i] * x[i];
    }
    // Lloyd and Max: 0.0345 of a Gaussian's variance with 8 values.
    EXPECT_LT(error / power, 0.045) << static_cast<int>(scale);
  }
}

TEST_F(QuantizerTest, EachChannelHasAScaleOfItsOwn) {
  Root root({.format = Format("int2"), .per_channel = true}, 2);
  Initialize(root, device_, Rng(1));
  Graph graph(Training());
  const Tensor x = Tensor::From<float>(device_, {2, 2}, {1.0f, -0.4f, 8.0f, 5.0f});
  EXPECT_THAT(root(graph.Input(x)).value().span<float>(), ElementsAre(1, 0, 8, 8));
}

TEST_F(QuantizerTest, BlocksRunAlongTheInputsOfAnOutput) {
  Root root({.format = Format("mxfp4")}, 2);
  Initialize(root, device_, Rng(1));
  Graph graph(Training());
  // Two outputs of 18 weights each: blocks of 18, not of 32 over the border.
  std::vector<float> w(36, 1.0f);
  w[18] = 600;
  const Tensor x = Tensor::From<float>(device_, {2, 2, 3, 3}, w);
  const Tensor y = root(graph.Input(x)).value();
  EXPECT_THAT(y.span<float>().first(18), Each(1.0f));
  EXPECT_EQ(y.span<float>()[19], 0);
}

TEST_F(QuantizerTest, BlocksOfActivationsRunAlongTheChannels) {
  Root root({.format = Format("mxfp4")});
  Initialize(root, device_, Rng(1));
  Graph graph(Training());
  // Two pixels of 16 channels: a large number in one leaves the other's alone.
  std::vector<float> x(32, 1.0f);
  x[16] = 600;
  const Tensor y = root(graph.Input(Tensor::From<float>(device_, {1, 1, 2, 16}, x))).value();
  EXPECT_THAT(y.span<float>().first(16), Each(1.0f));
  EXPECT_EQ(y.span<float>()[17], 0);
}

TEST_F(QuantizerTest, RefusesAnAmaxHistoryThatIsNone) {
  Root root({.format = Format("float8_e4m3fn"), .scale = ScaleSource::kDelayed, .history = 2});
  Initialize(root, device_, Rng(1));
  EXPECT_TRUE(CheckQuantizers(root).ok());
  ForEachBuffer(root, [](const std::string&, Buffer& b) { b.value.span<float>()[1] = NAN; });
  EXPECT_EQ(CheckQuantizers(root).code(), absl::StatusCode::kDataLoss);
}

TEST_F(QuantizerTest, StochasticRoundingIsThatOfTheStepAndThePath) {
  Root root({.format = Format("float4_e2m1fn"), .rounding = Rounding::kStochastic});
  Initialize(root, device_, Rng(1));
  std::vector<float> x(64, 0.3f);
  x[0] = 6;
  const auto at = [&](uint64_t step) { return Run(root, Training(step), x); };
  EXPECT_EQ(at(5), at(5));
  EXPECT_NE(at(5), at(6));
}

TEST_F(QuantizerTest, InfinitiesPassAndZerosStay) {
  for (const QuantFormat& format : QuantFormats()) {
    SCOPED_TRACE(NameOf(format));
    Root root({.format = format});
    Initialize(root, device_, Rng(1));
    EXPECT_THAT(Run(root, Training(), std::vector<float>(40, 0.0f)), Each(0.0f));
    std::vector<float> x(40, 0.5f);
    x[3] = HUGE_VALF;
    if (!std::holds_alternative<BlockFormat>(format)) {
      EXPECT_EQ(Run(root, Training(), x)[3], HUGE_VALF);
    }
    x[3] = NAN;
    EXPECT_TRUE(std::isnan(Run(root, Training(), x)[3]));
  }
}

// A layer of which everything is quantised: the gradients are those of the quantised operands.
TEST_F(QuantizerTest, ALayerMultipliesQuantisedOperands) {
  Linear layer({.in = 4, .out = 3});
  layer.quantizers().weight.emplace(QuantizerOptions{.format = Format("int4")});
  layer.quantizers().input.emplace(QuantizerOptions{.format = Format("int8")});
  layer.quantizers().gradient.emplace(QuantizerOptions{.format = Format("int2")});
  Initialize(layer, device_, Rng(4));
  Linear plain({.in = 4, .out = 3});
  Initialize(plain, device_, Rng(4));
  std::vector<Parameter*> params = Parameters(plain), quantised = Parameters(layer);
  Graph graph(Training()), other(Training());
  const Tensor x = RandomTensor(device_, DType::kF32, {5, 4}, 7);
  params[0]->SetMaster(layer.quantizers().weight->Quantize(params[0]->master(), graph));
  const Variable in = graph.Input(x, true);
  const Variable out = other.Input(layer.quantizers().input->Quantize(x, graph), true);
  const Tensor target = RandomTensor(device_, DType::kF32, {5, 3}, 8);
  const Variable y = layer(in), z = plain(out);
  EXPECT_TRUE(SameBits(y.value(), z.value()));
  const Tensor dy = RandomTensor(device_, DType::kF32, {5, 3}, 9);
  const auto seeded = [&](Graph& g, const Variable& v, const Tensor& d) {
    g.Backward(g.Record("seed", Tensor::Zeros(device_, DType::kF32, {}), {v},
                        [d](BackwardContext& c) { c.Give(0, d); }));
  };
  seeded(other, z, layer.quantizers().gradient->Quantize(dy, graph));
  seeded(graph, y, dy);
  EXPECT_TRUE(SameBits(quantised[0]->gradient(), params[0]->gradient()));
  EXPECT_TRUE(SameBits(graph.Gradient(in), other.Gradient(out)));
}

TEST_F(QuantizerTest, RefusesAStateThatIsNone) {
  Root root({.format = Format("fp2"), .start = CodebookStart::kGiven, .values = {-1, 0, 1, 3}});
  Initialize(root, device_, Rng(1));
  EXPECT_TRUE(CheckQuantizers(root).ok());  // not started
  Run(root, Training(), {1});
  EXPECT_TRUE(CheckQuantizers(root).ok());
  Parameters(root)[0]->mutable_master().span<float>()[1] = 2;
  EXPECT_FALSE(CheckQuantizers(root).ok());
  Parameters(root)[0]->mutable_master().span<float>()[1] = NAN;
  EXPECT_EQ(CheckQuantizers(root).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace halftone::nn
