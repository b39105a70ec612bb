// What a loss scale is for: a network whose gradients are too small for float16, trained without a scale,
// with a fixed one, and with one that finds itself.
//
//   ./bazelw run //examples:underflow

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "amp/recipe.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "nn/graph.h"
#include "nn/layers.h"
#include "nn/module.h"
#include "nn/optim/adam.h"
#include "nn/optim/parameters.h"
#include "scaler/grad_scaler.h"

namespace halftone {
namespace {

// As where a loss is averaged over the four million pixels of an image. float16's smallest number is 2^-24.
constexpr double kLossWeight = 0x1p-22;

class Network : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return fc2_(nn::Activate(relu_, fc1_(x))); }
  void Visit(nn::Visitor& v) override {
    v("fc1", fc1_);
    v("fc2", fc2_);
  }

 private:
  const ops::Activation& relu_ = *ops::FindActivation("relu");
  nn::Linear fc1_ = nn::Linear({.in = 8, .out = 64});
  nn::Linear fc2_ = nn::Linear({.in = 64, .out = 1});
};

struct Outcome {
  double zeros = 0;    // of all gradients of all steps
  double learned = 0;  // 1 - last loss / first loss
};

// Learns the product of the first two of eight numbers; prints a row of the table.
absl::StatusOr<Outcome> Train(const char* name, const char* recipe_name, const LossScaleOptions& scale) {
  constexpr int kRows = 256, kIn = 8, kSteps = 400, kOptimizer = 0;
  Device device(/*notes=*/nullptr);
  Network network;
  nn::Initialize(network, device, Rng(1));
  Tensor x = Tensor::Empty(device, DType::kF32, {kRows, kIn});
  Tensor y = Tensor::Empty(device, DType::kF32, {kRows, 1});
  for (int i = 0; i < kRows * kIn; ++i) x.data<float>()[i] = Rng(2).Normal(i);
  for (int r = 0; r < kRows; ++r)
    y.data<float>()[r] = x.data<float>()[r * kIn] * x.data<float>()[r * kIn + 1];

  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(recipe_name));
  const nn::CastPolicy policy = amp::MakePolicy(recipe);
  ASSIGN_OR_RETURN(GradScaler scaler, GradScaler::Create(scale));
  // Adam's steps do not depend on the size of the gradients: underflow alone makes the difference.
  ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> adam, MakeAdam({.epsilon = 1e-20}));
  const std::vector<nn::Parameter*> parameters = nn::Parameters(network);
  double zeros = 0, all = 0, first_loss = 0, last_loss = 0;
  for (int step = 0; step < kSteps; ++step) {
    nn::Graph graph({.device = &device, .policy = &policy, .training = true});
    const nn::Variable loss = nn::MeanSquaredError(network(graph.Input(x)), y);
    graph.Backward(loss, /*seed=*/kLossWeight * scaler.scale());
    (step == 0 ? first_loss : last_loss) = loss.Item();

    ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, nn::GradientsOf(parameters));
    std::vector<int64_t> zeros_of(gradients.size());
    RETURN_IF_ERROR(scaler.Unscale(kOptimizer, gradients, absl::MakeSpan(zeros_of)).status());
    for (size_t i = 0; i < gradients.size(); ++i) zeros += zeros_of[i], all += gradients[i].size();
    ASSIGN_OR_RETURN(const bool finite, scaler.ShouldStep(kOptimizer));
    if (finite) nn::Step(*adam, parameters, {.learning_rate = 0.01});
    RETURN_IF_ERROR(scaler.Update().status());
    nn::ClearGradients(parameters);
  }
  std::printf("%-33s %5.1f %%  %7.5f    2^%-3g %8d\n", name, 100 * zeros / all, last_loss,
              std::log2(scaler.scale()), static_cast<int>(scaler.loss_scale().state().skipped));
  return Outcome{.zeros = zeros / all, .learned = 1 - last_loss / first_loss};
}

absl::Status Run() {
  std::printf("%-33s %7s  %7s    %-5s %8s\n", "", "zeros", "loss", "scale", "skipped");
  RETURN_IF_ERROR(Train("float32", "fp32", {.enabled = false}).status());
  ASSIGN_OR_RETURN(const Outcome none, Train("float16, no scale", "amp_fp16", {.enabled = false}));
  ASSIGN_OR_RETURN(const Outcome fixed,
                   Train("float16, static scale", "amp_fp16", {.initial = 0x1p24, .dynamic = false}));
  ASSIGN_OR_RETURN(const Outcome dynamic,
                   Train("float16, dynamic scale from 2^48", "amp_fp16",
                         {.initial = 0x1p48, .growth_interval = 100, .max_scale = 0x1p48}));
  if (none.zeros < 1 || none.learned != 0) return absl::InternalError("it learned without a scale");
  const bool both =
      fixed.learned > 0.95 && fixed.zeros < 0.05 && dynamic.learned > 0.95 && dynamic.zeros < 0.05;
  return both ? absl::OkStatus() : absl::InternalError("it did not learn with a scale");
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "underflow: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
