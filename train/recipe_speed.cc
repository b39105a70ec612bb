#include "train/recipe_speed.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "train/build.h"
#include "train/open_device.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int kSteps = 3;  // the first one, which makes oneDNN's primitives, is not the fastest

Batch RandomImages(Device& device, const TrainConfig& config, const ImageDataset& dataset) {
  const int64_t n = config.data().batch_size();
  Batch batch = {Tensor::Empty(device, DType::kF32, {n, dataset.height, dataset.width, dataset.channels}),
                 Tensor::Zeros(device, DType::kI64, {n})};
  const Rng rng(1);
  for (int64_t i = 0; i < batch.input.elements(); ++i) batch.input.span<float>()[i] = 2 * rng.Uniform(i) - 1;
  return batch;
}

absl::StatusOr<Batch> SomeBatch(Device& device, const TrainConfig& config, const Dataset& dataset) {
  if (dataset.images() != nullptr) return RandomImages(device, config, *dataset.images());
  ASSIGN_OR_RETURN(const std::unique_ptr<BatchSource> batches,
                   dataset.TrainBatches(device, {.batch_size = config.data().batch_size()}));
  return batches->Next();
}

// Seconds of the fastest step.
absl::StatusOr<double> StepSeconds(const TrainConfig& config, const Dataset& dataset) {
  using Clock = std::chrono::steady_clock;
  ASSIGN_OR_RETURN(const std::unique_ptr<Device> device, OpenDevice(config.run(), /*notes=*/nullptr));
  ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                   MakeTrainer(config, dataset, /*total_steps=*/kSteps, *device));
  ASSIGN_OR_RETURN(const Batch batch, SomeBatch(device->host(), config, dataset));
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kSteps; ++i) {
    const Clock::time_point start = Clock::now();
    RETURN_IF_ERROR(trainer->Step(batch).status());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

absl::StatusOr<double> StepTimeOverFp32(const TrainConfig& config, const Dataset& dataset) try {
  TrainConfig fp32 = config;
  fp32.mutable_precision()->set_recipe("fp32");
  fp32.mutable_precision()->clear_quantize();
  ASSIGN_OR_RETURN(const double reference, StepSeconds(fp32, dataset));
  ASSIGN_OR_RETURN(const double seconds, StepSeconds(config, dataset));
  return seconds / reference;
} catch (const std::bad_alloc& error) {
  // float32 may need memory that the recipe does without.
  return absl::ResourceExhaustedError(error.what());
}

}  // namespace halftone
