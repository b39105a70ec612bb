// Mixed-precision training of a model of one's own: MixedPrecisionTrainer needs no more than a function that
// computes the loss and its gradients from 16-bit inputs and weights. Here a network of two layers, written
// by hand, learns the sine; half-way it is saved and loaded again.
//
//   ./bazelw run //examples:own_model

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "fp16/half.h"
#include "nn/optim/adam.h"
#include "train/mixed_precision_trainer.h"

namespace halftone {
namespace {

using Trainer = MixedPrecisionTrainer<half>;
constexpr size_t kHidden = 32, kPoints = 64;

// y = w2 tanh(w1 x + b1). Weights and activations are float16, sums are float32.
absl::StatusOr<double> Gradients(const GradientCall<half>& call) {
  const absl::Span<const half> w1 = call.weights[0], b1 = call.weights[1], w2 = call.weights[2];
  std::vector<half> h(kHidden);
  std::vector<float> d_w1(kHidden), d_b1(kHidden), d_w2(kHidden);
  double loss = 0;
  for (size_t i = 0; i < call.x.size(); ++i) {
    float y = 0;
    for (size_t j = 0; j < kHidden; ++j) {
      h[j] = half(std::tanh(w1[j] * call.x[i] + b1[j]));
      y += w2[j] * h[j];
    }
    const float error = y - call.y[i], n = static_cast<float>(call.x.size());
    loss += error * error / n;
    const half d_y(call.scale * 2 * error / n);  // the backward pass starts from scale * loss
    for (size_t j = 0; j < kHidden; ++j) {
      const half d_z(d_y * w2[j] * (1 - h[j] * h[j]));
      d_w2[j] += d_y * h[j];
      d_w1[j] += d_z * call.x[i];
      d_b1[j] += d_z;
    }
  }
  for (size_t j = 0; j < kHidden; ++j) {
    call.gradients[0][j] = half(d_w1[j]);
    call.gradients[1][j] = half(d_b1[j]);
    call.gradients[2][j] = half(d_w2[j]);
  }
  return loss;
}

absl::StatusOr<Trainer> MakeTrainer() {
  std::vector<float> w1(kHidden), b1(kHidden), w2(kHidden);
  for (size_t j = 0; j < kHidden; ++j) {
    w1[j] = Rng(1).Stream(1).Normal(j);
    b1[j] = Rng(1).Stream(2).Normal(j);
    w2[j] = Rng(1).Stream(3).Normal(j) / std::sqrt(static_cast<float>(kHidden));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> adam, MakeAdam({}));
  ASSIGN_OR_RETURN(Trainer trainer,
                   Trainer::Create({.loss_scale = {.growth_interval = 200}}, std::move(adam)));
  RETURN_IF_ERROR(trainer.InitializeWeights({w1, b1, w2}));
  return trainer;
}

absl::StatusOr<double> Train(Trainer& trainer, int steps) {
  std::vector<float> x(kPoints), y(kPoints);
  for (size_t i = 0; i < kPoints; ++i) {
    x[i] = 6.0f * static_cast<float>(i) / kPoints - 3;
    y[i] = std::sin(x[i]);
  }
  double loss = 0;
  for (int step = 0; step < steps; ++step) {
    ASSIGN_OR_RETURN(const MixedPrecisionStep result,
                     trainer.TrainStep(x, y, Gradients, /*learning_rate=*/0.01));
    loss = result.loss;
  }
  const MixedPrecisionStats stats = trainer.stats();
  std::printf("step %4ld: loss %.2e  scale %g  skipped %ld\n", stats.total_steps, loss, stats.current_scale,
              stats.skipped_steps);
  return loss;
}

absl::Status Run() {
  const std::string path = std::filesystem::temp_directory_path() / "own_model.safetensors";
  ASSIGN_OR_RETURN(Trainer trainer, MakeTrainer());
  RETURN_IF_ERROR(Train(trainer, 500).status());
  RETURN_IF_ERROR(trainer.Save(path));
  ASSIGN_OR_RETURN(const double loss, Train(trainer, 500));

  // Weights, optimiser, loss scale and statistics are in the file: another trainer goes on from it.
  ASSIGN_OR_RETURN(Trainer resumed, MakeTrainer());
  RETURN_IF_ERROR(resumed.Load(path));
  std::filesystem::remove(path);
  RETURN_IF_ERROR(Train(resumed, 500).status());
  for (size_t i = 0; i < trainer.tensors(); ++i) {
    if (trainer.Master(i) != resumed.Master(i)) return absl::InternalError("the weights differ");
  }
  std::printf("loaded at step 500 and trained on: the same weights, bit for bit\n");
  return loss < 1e-3 ? absl::OkStatus() : absl::InternalError("it did not learn");
}

}  // namespace
}  // namespace halftone

int main() {
  const absl::Status status = halftone::Run();
  if (!status.ok()) std::fprintf(stderr, "own_model: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
