#include "train/recipe_speed.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "base/philox.h"
#include "base/status_macros.h"
#include "train/build.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int kSteps = 3;  // the first one, which makes oneDNN's primitives, is not the fastest

Batch RandomBatch(Device& device, const TrainConfig& config, const ImageDataset& dataset) {
  const int64_t n = config.data().batch_size();
  Batch batch = {Tensor::Empty(device, DType::kF32, {n, dataset.height, dataset.width, dataset.channels}),
                 Tensor::Zeros(device, DType::kI64, {n})};
  const Rng rng(1);
  for (int64_t i = 0; i < batch.images.elements(); ++i) batch.images.span<float>()[i] = 2 * rng.Uniform(i) - 1;
  return batch;
}

// Seconds of the fastest step.
absl::StatusOr<double> StepSeconds(const TrainConfig& config, const ImageDataset& dataset) {
  using Clock = std::chrono::steady_clock;
  Device device(/*notes=*/nullptr);
  ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, MakeTrainer(config, dataset, /*total_steps=*/kSteps, device));
  const Batch batch = RandomBatch(device, config, dataset);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kSteps; ++i) {
    const Clock::time_point start = Clock::now();
    RETURN_IF_ERROR(trainer->Step(batch).status());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

absl::StatusOr<double> StepTimeOverFp32(const TrainConfig& config, const ImageDataset& dataset) {
  TrainConfig fp32 = config;
  fp32.mutable_precision()->set_recipe("fp32");
  ASSIGN_OR_RETURN(const double reference, StepSeconds(fp32, dataset));
  ASSIGN_OR_RETURN(const double seconds, StepSeconds(config, dataset));
  return seconds / reference;
}

}  // namespace halftone
