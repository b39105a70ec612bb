// A new activation: f and f' of one number, in double. Layers take it in every precision; here its gradients
// are checked by finite differences in float64, and those in float16 against them.
//
//   ./bazelw run //examples:new_activation

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "amp/recipe.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "nn/graph.h"
#include "nn/layers.h"
#include "nn/module.h"
#include "tensor/ops/activation/activation.h"
#include "tensor/ops/cast/cast.h"

namespace halftone {
namespace {

// As a row of kActivations in tensor/ops/activation/activation.cc, every config could name it.
constexpr ops::Activation kSoftsign = {
    .name = "softsign",
    .formula = "x / (1 + |x|)",
    // df is given y: the layer behind keeps it anyway, and so x need not be kept too.
    .saves_output = true,
    .f = [](double x, double) { return std::isinf(x) ? std::copysign(1, x) : x / (1 + std::fabs(x)); },
    .df = [](double y, double) { return (1 - std::fabs(y)) * (1 - std::fabs(y)); },
    .error = {1.5, 0.51, 0.51},
    .gradient_error = {1.2, 0.51, 0.51},
};

class Network : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return fc2_(act_(fc1_(x))); }
  void Visit(nn::Visitor& v) override {
    v("fc1", fc1_);
    v("act", act_);
    v("fc2", fc2_);
  }

 private:
  nn::Linear fc1_ = nn::Linear({.in = 5, .out = 16});
  nn::ActivationLayer act_ = nn::ActivationLayer(kSoftsign);
  nn::Linear fc2_ = nn::Linear({.in = 16, .out = 3});
};

// The loss at x and, unless options.gradients is false, its gradient for x.
double Loss(Network& network, const Tensor& x, const nn::GraphOptions& options, Tensor* gradient = nullptr) {
  Tensor labels = Tensor::Empty(x.device(), DType::kI64, {x.shape()[0]});
  for (int64_t i = 0; i < labels.elements(); ++i) labels.data<int64_t>()[i] = i % 3;
  nn::Graph graph(options);
  const nn::Variable input = graph.Input(x, /*requires_grad=*/options.gradients);
  const nn::Variable loss = nn::CrossEntropy(network(input), labels);
  if (options.gradients) {
    graph.Backward(loss);
    *gradient = graph.Gradient(input);
  }
  return loss.Item();
}

// In float64, by backward and by moving each element of x up and down.
absl::Status CheckFloat64(Network& network, Tensor x, Tensor& gradient) {
  constexpr double kStep = 1e-5;
  Loss(network, x, {.device = &x.device()}, &gradient);
  double worst = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    double& element = x.data<double>()[i];
    const double before = element;
    const auto loss_at = [&](double value) {
      element = value;
      return Loss(network, x, {.device = &x.device(), .gradients = false});
    };
    const double slope = (loss_at(before + kStep) - loss_at(before - kStep)) / (2 * kStep);
    element = before;
    worst = std::max(worst, std::fabs(slope - gradient.data<double>()[i]));
  }
  absl::PrintF("float64: finite differences are at most %.0e from the gradients\n", worst);
  return worst < 1e-9 ? absl::OkStatus() : absl::InternalError("df is not the derivative of f");
}

// In mixed precision, where what the activation is given is float16, and so is what it gives.
absl::Status CheckFloat16(Network& network, const Tensor& x, const Tensor& exact) {
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe("amp_fp16"));
  const nn::CastPolicy policy = amp::MakePolicy(recipe);
  int in_float16 = 0;
  const auto trace = [&](const nn::TraceEvent& e) {
    if (e.op != "activation") return;
    in_float16 += e.value.dtype() == DType::kF16;
    absl::PrintF("  %s, %s: %s\n", e.module, e.tensor, NameOf(e.value.dtype()));
  };
  Tensor gradient;
  Loss(network, x, {.device = &x.device(), .policy = &policy, .trace = trace}, &gradient);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.elements(); ++i) {
    largest = std::max(largest, std::fabs(exact.data<double>()[i]));
    worst = std::max(worst, std::fabs(gradient.data<float>()[i] - exact.data<double>()[i]));
  }
  absl::PrintF("float16: the gradients are at most %.4f of the largest from those in float64\n",
               worst / largest);
  if (in_float16 != 2) return absl::InternalError("the activation is not in float16, forward and backward");
  // A rounding is 2^-11 of its number at most, and there are few of them from one end to the other.
  return worst / largest < 0x1p-8 ? absl::OkStatus() : absl::InternalError("float16 is too far off");
}

absl::Status Run() {
  Device device;
  Network network;
  nn::Initialize(network, device, Rng(/*seed=*/1));
  Tensor x = Tensor::Empty(device, DType::kF32, {32, 5});
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = 2 * Rng(2).Normal(i);
  Tensor gradient;
  nn::ConvertTo(network, DType::kF64);
  RETURN_IF_ERROR(CheckFloat64(network, ops::Cast(x, DType::kF64), gradient));
  nn::ConvertTo(network, DType::kF32);
  return CheckFloat16(network, x, gradient);
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "new_activation: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
