// Automatic mixed precision in one training loop: autocast chooses every op's precision, GradScaler keeps
// small gradients from vanishing.
//
//   ./bazelw run //examples:autocast

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
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

// Is a point of the plane inside a circle?
class Network : public nn::Module {
 public:
  nn::Variable Forward(const nn::Variable& x) override { return fc2_(nn::Activate(relu_, fc1_(x))); }
  void Visit(nn::Visitor& v) override {
    v("fc1", fc1_);
    v("fc2", fc2_);
  }

 private:
  const ops::Activation& relu_ = *ops::FindActivation("relu");
  nn::Linear fc1_ = nn::Linear({.in = 2, .out = 64});
  nn::Linear fc2_ = nn::Linear({.in = 64, .out = 2});
};

// A tensor of the forward pass, with the dtype that autocast gives it.
void PrintForward(const nn::TraceEvent& event) {
  if (event.backward) return;
  std::printf("  %-4s %-14s %-12s %s\n", std::string(event.module).c_str(), std::string(event.op).c_str(),
              event.tensor.c_str(), std::string(NameOf(event.value.dtype())).c_str());
}

absl::Status Run() {
  constexpr int kRows = 256, kSteps = 251, kOptimizer = 0;
  Device device;
  Network network;
  nn::Initialize(network, device, Rng(/*seed=*/1));
  const std::vector<nn::Parameter*> parameters = nn::Parameters(network);
  ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe("amp_fp16"));
  const nn::CastPolicy policy = amp::MakePolicy(recipe);
  // The scale starts high and grows fast, to be seen at work in a short run; {} is what to train with.
  ASSIGN_OR_RETURN(GradScaler scaler,
                   GradScaler::Create({.initial = 0x1p24, .growth_interval = 60, .max_scale = 0x1p30}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer, MakeAdam({}));

  double loss_value = 0;
  for (int step = 0; step < kSteps; ++step) {
    Tensor points = Tensor::Empty(device, DType::kF32, {kRows, 2});
    Tensor labels = Tensor::Empty(device, DType::kI64, {kRows});
    for (int i = 0; i < kRows; ++i) {
      float* p = points.data<float>() + 2 * i;
      for (int k = 0; k < 2; ++k) p[k] = Rng(2).AtStep(step).Uniform(2 * i + k) * 2 - 1;
      labels.data<int64_t>()[i] = p[0] * p[0] + p[1] * p[1] < 0.6f;
    }

    // Every op looks up its precision in `policy`. The gradients are those of scale * loss.
    nn::GraphOptions options = {.device = &device, .policy = &policy, .training = true};
    if (step == 0) options.trace = PrintForward;
    nn::Graph graph(options);
    const nn::Variable loss = nn::CrossEntropy(network(graph.Input(points)), labels);
    graph.Backward(loss, /*seed=*/scaler.scale());
    loss_value = loss.Item();

    ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, nn::GradientsOf(parameters));
    RETURN_IF_ERROR(scaler.Unscale(kOptimizer, gradients).status());
    RETURN_IF_ERROR(scaler.ClipByGlobalNorm(kOptimizer, gradients, /*max_norm=*/1));
    ASSIGN_OR_RETURN(const bool finite, scaler.ShouldStep(kOptimizer));
    if (finite) nn::Step(*optimizer, parameters, {.learning_rate = 0.02});
    ASSIGN_OR_RETURN(const ScaleUpdate update, scaler.Update());
    nn::ClearGradients(parameters);
    if (!finite || step % 50 == 0) {
      std::printf("step %3d  loss %.4f  scale 2^%g%s\n", step, loss_value, std::log2(update.old_scale),
                  finite ? "" : "  overflow: step skipped");
    }
  }
  if (scaler.loss_scale().state().skipped == 0) return absl::InternalError("nothing overflowed");
  return loss_value < 0.15 ? absl::OkStatus() : absl::InternalError("it did not learn");
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "autocast: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
