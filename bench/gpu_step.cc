// On an NVIDIA GPU: one training step of every image model in the recipes that matter there, batch 512; and
// the conversion of float32 to float16 beside a plain copy. bench/peers/gpu_step.py times the same in
// PyTorch.
//
//   ./bazelw run --config=cuda //bench:gpu_step -- --benchmark_filter=resnet18

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "amp/recipe.h"
#include "base/check.h"
#include "bench/random_batch.h"
#include "benchmark/benchmark.h"
#include "models/model.h"
#include "nn/optim/sgd.h"
#include "tensor/allocator.h"
#include "tensor/ops/cast/cast.h"
#include "train/open_device.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kStepsAtOnce = 16;  // that the device is told of before the host waits

// Without the loader: the batch is there already.
void Step(benchmark::State& state, Device& device, const models::ModelRow& row, const amp::Recipe& recipe,
          int64_t batch_size) {
  device.allocator().ReleaseCached();
  device.allocator().ResetPeak();
  auto model = models::MakeModel({.name = std::string(row.name), .image = row.image}).value();
  TrainerOptions options = RecipeOptions(recipe, *model).value();
  options.read_every = kStepsAtOnce;
  Trainer trainer(device, std::move(model), MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}).value(),
                  MakeConstantSchedule({}, 0.01, 1).value(),
                  GradScaler::Create({.initial = 1024, .enabled = recipe.scales_loss}).value(), options);
  const Batch on_host = RandomBatch(device.host(), row.image, batch_size);
  const Batch batch = {on_host.input.To(device), on_host.labels.To(device)};
  absl::Status status;
  const auto steps = [&] {
    for (int64_t i = 0; i < kStepsAtOnce; ++i) status.Update(trainer.Enqueue(batch).status());
  };
  steps();  // chooses algorithms and fills the allocator's cache
  for (auto _ : state) steps();
  if (!status.ok()) return state.SkipWithError(std::string(status.message()).c_str());
  const int64_t images = static_cast<int64_t>(state.iterations()) * kStepsAtOnce * batch_size;
  state.counters["images/s"] = benchmark::Counter(static_cast<double>(images), benchmark::Counter::kIsRate);
  state.counters["step_ms"] = benchmark::Counter(static_cast<double>(state.iterations() * kStepsAtOnce) / 1e3,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["peak_MiB"] = static_cast<double>(device.allocator().stats().peak_bytes) / (1 << 20);
}

// Bytes are those read and written.
void ToHalf(benchmark::State& state, Device& device, int64_t n) {
  const Tensor x = Tensor::Zeros(device, DType::kF32, {n});
  for (auto _ : state) {
    for (int64_t i = 0; i < kStepsAtOnce; ++i) benchmark::DoNotOptimize(ops::Cast(x, DType::kF16));
    device.Synchronize();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * kStepsAtOnce * n * 6);
}

void Copy(benchmark::State& state, Device& device, int64_t n) {
  const Tensor x = Tensor::Zeros(device, DType::kF32, {n});
  for (auto _ : state) {
    for (int64_t i = 0; i < kStepsAtOnce; ++i) benchmark::DoNotOptimize(x.Clone());
    device.Synchronize();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * kStepsAtOnce * n * 8);
}

void Register(Device& device, int64_t batch_size) {
  for (const models::ModelRow& model : models::Models()) {
    if (model.vocabulary > 0 || model.for_inference) continue;  // images alone
    for (const char* name : {"fp32", "amp_bf16", "amp_fp16", "fp8_hybrid"}) {
      const amp::Recipe recipe = amp::FindRecipe(name).value();
      benchmark::RegisterBenchmark(absl::StrCat(model.name, "_step/", name).c_str(),
                                   [&device, model, recipe, batch_size](benchmark::State& state) {
                                     Step(state, device, model, recipe, batch_size);
                                   })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  constexpr int64_t kElements = int64_t{1} << 28;
  benchmark::RegisterBenchmark("float32_to_float16", [&device](benchmark::State& state) {
    ToHalf(state, device, kElements);
  })->UseRealTime();
  benchmark::RegisterBenchmark("copy", [&device](benchmark::State& state) {
    Copy(state, device, kElements);
  })->UseRealTime();
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  int batch = 512, index = 0, kept = 1;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    const bool ours =
        (absl::ConsumePrefix(&argument, "--batch=") && absl::SimpleAtoi(argument, &batch)) ||
        (absl::ConsumePrefix(&argument, "--device_index=") && absl::SimpleAtoi(argument, &index));
    if (!ours) argv[kept++] = argv[i];
  }
  argc = kept;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  halftone::RunConfig config;
  config.set_device(halftone::RunConfig::CUDA);
  config.set_device_index(index);
  const auto device = halftone::OpenDevice(config, /*notes=*/nullptr);
  if (!device.ok()) {
    std::fprintf(stderr, "%s\n", std::string(device.status().message()).c_str());
    return 1;
  }
  halftone::Register(**device, batch);
  benchmark::AddCustomContext("gpu", halftone::DescribeDevice(**device));
  benchmark::AddCustomContext("batch", std::to_string(batch));
  try {
    benchmark::RunSpecifiedBenchmarks();
  } catch (const halftone::OutOfMemory& error) {
    std::fprintf(stderr, "gpu_step: %s\n", error.what());
    return 1;
  }
}
