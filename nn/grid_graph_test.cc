#include "nn/grid_graph.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "nn/functional.h"
#include "testing/device.h"
#include "testing/finite_difference.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

TEST(GridGraphConvTest, NamesItsParametersAsItsOwn) {
  Device& device = TestDevice();
  GridGraphConv conv({.in = 3, .out = 2});
  Initialize(conv, device, Rng(1));
  std::vector<std::string> names;
  ForEachParameter(conv, [&](const std::string& path, Parameter& p) {
    names.push_back(path + " " + p.shape().ToString());
  });
  EXPECT_EQ(names, (std::vector<std::string>{"weight [2, 3]", "bias [2]"}));
}

// Patches, a convolution, and both their gradients, in float64.
TEST(GridGraphConvTest, GradientsAreThoseOfFiniteDifferences) {
  Device& device = TestDevice();
  GridGraphConv conv({.in = 8, .out = 3});
  Initialize(conv, device, Rng(1));
  ConvertTo(conv, DType::kF64);
  const Tensor x = RandomTensor(device, DType::kF64, {2, 4, 6, 2}, 1);
  const Tensor target = RandomTensor(device, DType::kF64, {2, 2, 3, 3}, 2);
  const auto loss = [&](const Variable& images) {
    return MeanSquaredError(conv(Patches(images, 2)), target);
  };
  const auto value = [&] {
    Graph graph({.device = &device, .gradients = false});
    return loss(graph.Input(x)).Item();
  };
  Graph graph({.device = &device});
  const Variable images = graph.Input(x, /*requires_grad=*/true);
  graph.Backward(loss(images));
  EXPECT_LT(Distance(graph.Gradient(images), NumericalGradient(value, x)), 1e-8);
  ForEachParameter(conv, [&](const std::string& path, Parameter& p) {
    EXPECT_LT(Distance(p.gradient(), NumericalGradient(value, p.mutable_master())), 1e-8) << path;
  });
}

TEST(GridGraphConvTest, RunsInTheLowerPrecisionWithFloat32Gradients) {
  Device& device = TestDevice();
  CastPolicy policy = {.lower = DType::kBF16};
  policy.classes.fill(CastClass::kAsIs);
  policy.classes[static_cast<size_t>(Op::kLinear)] = CastClass::kLower;
  GridGraphConv conv({.in = 3, .out = 2});
  Initialize(conv, device, Rng(1));
  Graph graph({.device = &device, .policy = &policy});
  const Variable y = conv(graph.Input(RandomTensor(device, DType::kF32, {2, 2, 2, 3}, 1)));
  EXPECT_EQ(y.dtype(), DType::kBF16);
  graph.Backward(MeanSquaredError(y, Tensor::Zeros(device, DType::kF32, y.shape())));
  ForEachParameter(conv,
                   [](const std::string&, Parameter& p) { EXPECT_EQ(p.gradient().dtype(), DType::kF32); });
}

}  // namespace
}  // namespace halftone::nn
