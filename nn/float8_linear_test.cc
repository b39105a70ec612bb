// A linear layer with 8-bit float quantisers multiplies 8-bit floats where the device does, and gives what it
// gives elsewhere.
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "nn/layers.h"
#include "quant/formats.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "testing/device.h"
#include "testing/tensors.h"

namespace halftone::nn {
namespace {

const ops::Float8LinearKernels* device_kernels = nullptr;
int forward = 0, backward_data = 0, backward_weights = 0;

// The device's, counted.
const ops::Float8LinearKernels kCounting = {
    .forward = [](const ops::Factor& x, const ops::Factor& w, const Tensor& bias,
                  Tensor& y) { return ++forward, device_kernels->forward(x, w, bias, y); },
    .backward_data = [](const ops::Factor& dy, const ops::Factor& w,
                        Tensor& dx) { return ++backward_data, device_kernels->backward_data(dy, w, dx); },
    .backward_weights =
        [](const ops::Factor& x, const ops::Factor& dy, ops::WeightGradients& grads) {
          return ++backward_weights, device_kernels->backward_weights(x, dy, grads);
        },
};

// Outputs and gradients of three steps, the delayed scales of which differ.
std::vector<Tensor> Steps(Device& device, int64_t rows, const QuantizerOptions& weights) {
  Linear layer({.in = 32, .out = 48});
  layer.quantizers().input.emplace(QuantizerOptions{.format = kFloat8E4m3fn, .scale = ScaleSource::kDelayed});
  layer.quantizers().weight.emplace(weights, 48);
  layer.quantizers().gradient.emplace(
      QuantizerOptions{.format = kFloat8E5m2, .scale = ScaleSource::kDelayed});
  Initialize(layer, device, Rng(1));
  std::vector<Tensor> results;
  for (uint64_t step = 0; step < 3; ++step) {
    Graph graph({.device = &device, .training = true});
    const Variable x =
        graph.Input(RandomTensor(device, DType::kF32, {2, rows / 2, 32}, 10 + step), /*requires_grad=*/true);
    const Variable y = layer(x);
    graph.Backward(graph.Record(
        "weighted_sum", Tensor::Zeros(device, DType::kF32, {}), {y},
        [w = RandomTensor(device, DType::kF32, y.shape(), 20 + step)](BackwardContext& c) { c.Give(0, w); }));
    results.insert(results.end(), {y.value(), graph.Gradient(x)});
    for (Parameter* p : Parameters(layer)) {
      results.push_back(p->gradient());
      p->ClearGradient();
    }
  }
  return results;
}

void ExpectAsOnTheCpu(int64_t rows, const QuantizerOptions& weights, double tolerance) {
  Device cpu(nullptr);
  const std::vector<Tensor> expected = Steps(cpu, rows, weights), actual = Steps(TestDevice(), rows, weights);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].shape(), expected[i].shape());
    const Tensor there = actual[i].To(cpu);
    const absl::Span<const float> a = there.span<float>(), e = expected[i].span<float>();
    double largest = 0;
    for (const float v : e) largest = std::max<double>(largest, std::fabs(v));
    for (size_t j = 0; j < a.size(); ++j)
      ASSERT_NEAR(a[j], e[j], tolerance * largest) << "tensor " << i << ", " << j;
  }
}

class Float8LinearTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* kernels = TestDevice().Kernels<ops::Float8LinearKernels>();
    if (kernels == nullptr) GTEST_SKIP() << "no 8-bit floats";
    if (kernels != &kCounting) device_kernels = kernels;
    TestDevice().Install(kCounting);
    forward = backward_data = backward_weights = 0;
  }

  const QuantizerOptions weights_ = {.format = kFloat8E4m3fn, .scale = ScaleSource::kDelayed};
};

TEST_F(Float8LinearTest, MultipliesFloat8ForwardAndBackward) {
  ExpectAsOnTheCpu(16, weights_, 1e-3);
  EXPECT_EQ(forward, 3);
  EXPECT_EQ(backward_data, 3);
  EXPECT_EQ(backward_weights, 3);
}

TEST_F(Float8LinearTest, SizesThatItDoesNotTakeAreEmulated) { ExpectAsOnTheCpu(6, weights_, 1e-5); }

TEST_F(Float8LinearTest, AScaleAChannelIsEmulated) {
  QuantizerOptions weights = {.format = kFloat8E4m3fn, .per_channel = true};
  ExpectAsOnTheCpu(16, weights, 1e-3);
  EXPECT_EQ(forward, 0);
  EXPECT_EQ(backward_data, 0);
  EXPECT_EQ(backward_weights, 3);  // of inputs and gradients
}

TEST_F(Float8LinearTest, OtherFormatsAreEmulated) {
  ExpectAsOnTheCpu(16, {.format = kFloat6E2m3fn}, 1e-3);
  EXPECT_EQ(forward, 0);
}

}  // namespace
}  // namespace halftone::nn
