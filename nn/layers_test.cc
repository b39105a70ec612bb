#include "nn/layers.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "nn/functional.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

// Two layers and every functional op in one path, so that gradients also meet on their way.
class Everything : public Module {
 public:
  Everything()
      : conv_({.in = 3, .out = 4, .kernel = 3, .stride = 2, .padding = 1}),
        bn_({.channels = 4}),
        relu_(*ops::FindActivation("relu")),
        grouped_({.in = 4, .out = 4, .kernel = 3, .padding = 1, .groups = 2, .bias = false}),
        fc_({.in = 4, .out = 5}) {}

  Variable Forward(const Variable& x) override {
    const Variable y = bn_.Forward(conv_(x), relu_);
    const Variable z = MaxPool2d(y + grouped_(y), 2, 2);
    return fc_(Dropout(Flatten(AdaptiveAvgPool2d(z, 1, 1)), 0.25, x.graph().rng().Stream(1)));
  }
  void Visit(Visitor& v) override {
    v("conv", conv_), v("bn", bn_), v("relu", relu_), v("grouped", grouped_), v("fc", fc_);
  }

 private:
  Conv2d conv_;
  BatchNorm2d bn_;
  ActivationLayer relu_;
  Conv2d grouped_;
  Linear fc_;
};

struct Case {
  const char* name;
  Shape input;
  std::function<std::unique_ptr<Module>()> make;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

template <typename M, typename Options>
std::function<std::unique_ptr<Module>()> Maker(Options options) {
  return [options] { return std::make_unique<M>(options); };
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {
      {"conv", {2, 5, 5, 3}, Maker<Conv2d>(Conv2dOptions{.in = 3, .out = 4, .padding = 1})},
      {"conv_stride",
       {2, 7, 7, 2},
       Maker<Conv2d>(Conv2dOptions{.in = 2, .out = 3, .stride = 2, .bias = false})},
      {"depthwise", {1, 4, 4, 6}, Maker<Conv2d>(Conv2dOptions{.in = 6, .out = 6, .padding = 1, .groups = 6})},
      {"linear", {3, 7}, Maker<Linear>(LinearOptions{.in = 7, .out = 4})},
      {"linear_no_bias", {2, 2, 5}, Maker<Linear>(LinearOptions{.in = 5, .out = 3, .bias = false})},
      {"batch_norm", {3, 2, 2, 5}, Maker<BatchNorm2d>(BatchNorm2dOptions{.channels = 5})},
      {"layer_norm", {3, 2, 5}, Maker<LayerNorm>(LayerNormOptions{.features = 5, .eps = 1e-3})},
      {"dropout", {4, 9}, Maker<DropoutLayer>(0.4)},
      {"everything", {3, 9, 9, 3}, [] { return std::make_unique<Everything>(); }},
  };
  for (const ops::Activation& activation : ops::Activations()) {
    cases.push_back({activation.name.data(), {4, 9}, [&activation] {
                       return std::make_unique<ActivationLayer>(activation);
                     }});
  }
  return cases;
}

// The dtype of every op's output, by module and op.
std::map<std::string, DType> DTypesOf(Module& model, Device& device, const CastPolicy& policy,
                                      absl::Span<const PolicyOverride> overrides) {
  std::map<std::string, DType> dtypes;
  const auto see = [&](const TraceEvent& e) {
    if (!e.backward && e.tensor == "output") dtypes[absl::StrCat(e.module, " ", e.op)] = e.value.dtype();
  };
  Graph graph({.device = &device, .policy = &policy, .overrides = overrides, .training = true, .trace = see});
  model.Forward(graph.Input(Tensor::Zeros(device, DType::kF32, {2, 9, 9, 3})));
  return dtypes;
}

TEST(OverrideTest, APartOfTheNetworkHasAPolicyOfItsOwn) {
  Device& device = TestDevice();
  Everything model;
  Initialize(model, device, Rng(1));
  CastPolicy amp = {.lower = DType::kBF16}, wide = {.lower = DType::kF32};
  amp.classes.fill(CastClass::kAsIs);
  amp.classes[static_cast<size_t>(Op::kConv2d)] = CastClass::kLower;
  amp.classes[static_cast<size_t>(Op::kLinear)] = CastClass::kLower;
  wide.classes.fill(CastClass::kFloat32);

  std::map<std::string, DType> dtypes = DTypesOf(model, device, amp, {});
  EXPECT_EQ(dtypes["conv conv2d"], DType::kBF16);
  EXPECT_EQ(dtypes["bn batch_norm"], DType::kBF16);
  EXPECT_EQ(dtypes["grouped conv2d"], DType::kBF16);
  EXPECT_EQ(dtypes["fc linear"], DType::kBF16);

  const std::vector<PolicyOverride> overrides = {{"b*", wide}, {"grouped", wide}, {"gr*", amp}, {"fc", wide}};
  dtypes = DTypesOf(model, device, amp, overrides);
  EXPECT_EQ(dtypes["conv conv2d"], DType::kBF16);
  EXPECT_EQ(dtypes["bn batch_norm"], DType::kF32);
  EXPECT_EQ(dtypes["grouped conv2d"], DType::kBF16);  // the last match decides
  EXPECT_EQ(dtypes["fc linear"], DType::kF32);
  EXPECT_EQ(dtypes[" dropout"], DType::kF32);  // as it comes, from the promoted sum
}

TEST(TraceTest, NamesWhatIsComputedWhereAndWhich) {
  Device& device = TestDevice();
  Everything model;
  Initialize(model, device, Rng(1));
  std::vector<std::string> events;
  const auto see = [&](const TraceEvent& e) {
    events.push_back(absl::StrCat(e.module, "|", e.op, e.backward ? "|backward|" : "|", e.tensor));
  };
  Graph graph({.device = &device, .training = true, .trace = see});
  const Variable y = model.Forward(graph.Input(Tensor::Zeros(device, DType::kF32, {2, 9, 9, 3})));
  graph.Backward(MeanSquaredError(y, Tensor::Zeros(device, DType::kF32, {2, 5})));
  for (const char* expected :
       {"conv|cast|conv.weight", "conv|conv2d|output", "bn|batch_norm|output", "|max_pool2d|output",
        "fc|linear|backward|gradient of fc.weight", "fc|linear|backward|gradient of input",
        "bn|batch_norm|backward|gradient of bn.bias", "conv|conv2d|backward|gradient of conv.weight"}) {
    EXPECT_EQ(std::count(events.begin(), events.end(), expected), 1) << expected;
  }
}

TEST(ReplayTest, BuffersStayAsTheyAre) {
  Device& device = TestDevice();
  BatchNorm2d bn({.channels = 3});
  Initialize(bn, device, Rng(1));
  const Rng rng(2);
  Tensor x = Tensor::Zeros(device, DType::kF32, {4, 2, 2, 3});
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = rng.Normal(static_cast<uint64_t>(i)) + 3;
  const auto running_mean = [&] {
    float mean = 0;
    ForEachBuffer(bn, [&](const std::string& path, Buffer& b) {
      if (path == "running_mean") mean = b.value.span<float>()[0];
    });
    return mean;
  };
  for (const bool replay : {true, false}) {
    Graph graph({.device = &device, .training = true, .replay = replay});
    bn(graph.Input(x));
    EXPECT_EQ(running_mean() == 0, replay);
  }
}

class LayerTest : public ::testing::TestWithParam<Case> {
 protected:
  Device& device_ = TestDevice();
};

// Finite differences in float64, for the input and for every parameter.
TEST_P(LayerTest, GradientsAreThoseOfFiniteDifferences) {
  const std::unique_ptr<Module> module = GetParam().make();
  Initialize(*module, device_, Rng(2));
  ConvertTo(*module, DType::kF64);
  const Tensor x = RandomTensor(device_, DType::kF64, GetParam().input, 3);
  Tensor target;
  const auto loss = [&](const Variable& in) {
    const Variable y = module->Forward(in);
    if (!target.defined()) target = RandomTensor(device_, DType::kF64, y.shape(), 4);
    return MeanSquaredError(y, target);
  };
  const auto value = [&] {
    Graph graph({.device = &device_, .training = true, .gradients = false});
    return loss(graph.Input(x)).Item();
  };
  Graph graph({.device = &device_, .training = true});
  const Variable in = graph.Input(x, /*requires_grad=*/true);
  graph.Backward(loss(in));
  // Truncation error step^2 and rounding error eps/step, both near 1e-10, with a margin.
  EXPECT_LT(Distance(graph.Gradient(in), NumericalGradient(value, x)), 1e-8);
  int parameters = 0;
  ForEachParameter(*module, [&](const std::string& path, Parameter& p) {
    EXPECT_LT(Distance(p.gradient(), NumericalGradient(value, p.mutable_master())), 1e-8) << path;
    ++parameters;
  });
  EXPECT_EQ(parameters, static_cast<int>(Parameters(*module).size()));
}

INSTANTIATE_TEST_SUITE_P(Layers, LayerTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(VisitorTest, PathsAreThoseOfTheStateDict) {
  Device& device = TestDevice();
  Everything module;
  Initialize(module, device, Rng(1));
  std::vector<std::string> paths;
  ForEachParameter(module, [&](const std::string& path, Parameter& p) {
    paths.push_back(path);
    EXPECT_EQ(p.path(), path);
  });
  EXPECT_EQ(paths, (std::vector<std::string>{"conv.weight", "conv.bias", "bn.weight", "bn.bias",
                                             "grouped.weight", "fc.weight", "fc.bias"}));
  paths.clear();
  ForEachBuffer(module, [&](const std::string& path, Buffer&) { paths.push_back(path); });
  EXPECT_EQ(paths, (std::vector<std::string>{"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"}));
}

// Its weight is float32 and so is the gradient, whatever the activations' dtype.
TEST(ActivationLayerTest, WhatIsLearnedIsAParameter) {
  Device& device = TestDevice();
  for (const ops::Activation& activation : ops::Activations()) {
    ActivationLayer layer(activation);
    Initialize(layer, device, Rng(1));
    const std::vector<Parameter*> parameters = Parameters(layer);
    ASSERT_EQ(parameters.size(), activation.learned.has_value() ? 1 : 0) << activation.name;
    if (parameters.empty()) continue;
    Parameter& weight = *parameters[0];
    EXPECT_EQ(weight.path(), "weight");
    EXPECT_EQ(weight.shape(), Shape({1}));
    EXPECT_EQ(ToDoubles(weight.master())[0], *activation.learned);
    Graph graph({.device = &device, .training = true});
    const Variable x = graph.Input(FromDoubles(device, DType::kBF16, {4}, {-2, 2, -0.5, 0.5}));
    const Variable y = layer(x);
    EXPECT_EQ(y.dtype(), DType::kBF16);
    EXPECT_EQ(ToDoubles(y.value()), (std::vector<double>{-0.5, 2, -0.125, 0.5}));
    graph.Backward(MeanSquaredError(y, Tensor::Zeros(device, DType::kF32, {4})));
    // The loss is the mean of y^2, so dy = y / 2.
    EXPECT_EQ(weight.gradient().dtype(), DType::kF32);
    EXPECT_EQ(ToDoubles(weight.gradient())[0], -0.25 * -2 + -0.0625 * -0.5);
  }
}

TEST(BatchNorm2dTest, ABatchThatIsNotFiniteLeavesTheRunningStatisticsAlone) {
  Device& device = TestDevice();
  BatchNorm2d bn({.channels = 1});
  Initialize(bn, device, Rng(1));
  std::vector<float> running;
  const auto forward = [&](float last) {
    Graph graph({.device = &device, .training = true, .gradients = false});
    bn(graph.Input(Tensor::From<float>(device, {3, 1}, {{1, 2, last}})));
    running.clear();
    ForEachBuffer(bn, [&](const std::string&, Buffer& b) {
      running.push_back(b.value.dtype() == DType::kI64 ? b.value.data<int64_t>()[0]
                                                       : b.value.data<float>()[0]);
    });
  };
  forward(3);
  const std::vector<float> after_one = running;
  EXPECT_FLOAT_EQ(after_one[0], 0.1f * 2);     // momentum times the mean
  EXPECT_FLOAT_EQ(after_one[1], 0.9f + 0.1f);  // the unbiased variance of 1, 2, 3 is 1
  EXPECT_EQ(after_one[2], 1);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    forward(bad);
    EXPECT_EQ(running, after_one);
  }
}

// The sum and the activation in one pass, against the three ops one after another.
TEST(BatchNorm2dTest, AddsAResidualAndActivatesAsTheOpsByThemselvesDo) {
  Device& device = TestDevice();
  const Tensor x = RandomTensor(device, DType::kF32, {4, 3, 3, 5}, 1);
  const Tensor residual = RandomTensor(device, DType::kF32, x.shape(), 2);
  const Tensor target = RandomTensor(device, DType::kF32, x.shape(), 3);
  for (const ops::Activation& activation : ops::Activations()) {
    for (const bool activates : {false, true}) {
      for (const bool training : {false, true}) {
        // The output and, in training, every gradient.
        const auto run = [&](bool fused) {
          BatchNorm2d bn({.channels = 5});
          ActivationLayer act(activation);
          Initialize(bn, device, Rng(1));
          Initialize(act, device, Rng(1));
          Graph graph({.device = &device, .training = training});
          const Variable in = graph.Input(x, true), r = graph.Input(residual, true);
          Variable y = fused ? activates ? bn.Forward(in, r, act) : bn.Forward(in, r) : bn(in) + r;
          if (!fused && activates) y = act(y);
          std::vector<Tensor> outcome = {y.value()};
          if (!training) return outcome;
          graph.Backward(MeanSquaredError(y, target));
          outcome.insert(outcome.end(), {graph.Gradient(in), graph.Gradient(r)});
          for (Parameter* p : Parameters(bn)) outcome.push_back(p->gradient());
          return outcome;
        };
        const std::vector<Tensor> actual = run(true), expected = run(false);
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_LT(Distance(ToDoubles(actual[i]), ToDoubles(expected[i])), 1e-6)
              << activation.name << " " << activates << training << i;
        }
      }
    }
  }
}

TEST(BatchNorm2dTest, AddsAWiderResidualInItsOwnDType) {
  Device& device = TestDevice();
  BatchNorm2d bn({.channels = 5});
  ActivationLayer relu(*ops::FindActivation("relu"));
  Initialize(bn, device, Rng(1));
  Graph graph({.device = &device, .training = true});
  const Variable x = graph.Input(RandomTensor(device, DType::kBF16, {4, 5}, 1));
  const Variable wide = graph.Input(RandomTensor(device, DType::kF32, {4, 5}, 2));
  EXPECT_EQ(bn.Forward(x, wide, relu).dtype(), DType::kF32);
  EXPECT_EQ(bn.Forward(x, x, relu).dtype(), DType::kBF16);
}

TEST(DropoutLayerTest, MasksDifferByStepAndLayerAndVanishInEvaluation) {
  Device& device = TestDevice();
  DropoutLayer dropout(0.5);
  const Tensor ones = Tensor::From<float>(device, {64}, std::vector<float>(64, 1));
  const auto run = [&](int step, bool training) {
    Graph graph({.device = &device, .rng = Rng(1).AtStep(step), .training = training});
    return ToDoubles(dropout(graph.Input(ones)).value());
  };
  EXPECT_EQ(run(0, true), run(0, true));
  EXPECT_NE(run(0, true), run(1, true));
  EXPECT_EQ(run(0, false), std::vector<double>(64, 1));
}

// Under a policy that lowers: products in 16 bits, weight gradients in float32.
TEST(AutocastTest, LowersProductsAndKeepsFloat32Gradients) {
  Device& device = TestDevice();
  for (const DType lower : {DType::kF16, DType::kBF16}) {
    CastPolicy policy;
    policy.lower = lower;
    policy.classes.fill(CastClass::kAsIs);
    policy.classes[static_cast<size_t>(Op::kLinear)] = CastClass::kLower;
    policy.classes[static_cast<size_t>(Op::kMse)] = CastClass::kFloat32;
    Linear fc({.in = 3, .out = 2});
    Initialize(fc, device, Rng(1));
    Graph graph({.device = &device, .policy = &policy, .training = true});
    const Variable x = graph.Input(RandomTensor(device, DType::kF32, {4, 3}, 1), true);
    const Variable y = fc(x);
    EXPECT_EQ(y.dtype(), lower);
    const Variable loss = MeanSquaredError(y, Tensor::Zeros(device, DType::kF32, {4, 2}));
    EXPECT_EQ(loss.dtype(), DType::kF32);
    graph.Backward(loss);
    EXPECT_EQ(graph.Gradient(x).dtype(), DType::kF32);
    ForEachParameter(fc,
                     [](const std::string&, Parameter& p) { EXPECT_EQ(p.gradient().dtype(), DType::kF32); });
  }
}

}  // namespace
}  // namespace halftone::nn
