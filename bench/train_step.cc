// One training step (batch 128, SGD with momentum and weight decay) of every model, as published, in every
// recipe, at two threads unless --threads says otherwise. bench/peers/train_step.py times the same in
// PyTorch.
//
//   ./bazelw run //bench:train_step -- --benchmark_filter=resnet18_step/amp_bf16

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "amp/recipe.h"
#include "base/check.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "bench/random_batch.h"
#include "benchmark/benchmark.h"
#include "models/model.h"
#include "nn/optim/sgd.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kBatch = 128;

void TrainStep(benchmark::State& state, const models::ModelRow& model, const amp::Recipe& recipe) {
  Device device;
  auto network = models::MakeModel({.name = std::string(model.name), .image = model.image}).value();
  const TrainerOptions options = RecipeOptions(recipe, *network).value();
  Trainer trainer(device, std::move(network), MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}).value(),
                  MakeConstantSchedule({}, 0.01, 1).value(),
                  GradScaler::Create({.enabled = recipe.scales_loss}).value(), options);
  const Batch batch = RandomBatch(device, model.image, kBatch);
  // Whether the step was taken: the loss scale may begin too high.
  const auto step = [&] {
    const absl::StatusOr<StepResult> result = trainer.Step(batch);
    HALFTONE_CHECK(result.ok());
    return !result->skipped;
  };
  for (int taken = 0; taken < 2;) taken += step();  // makes the primitives and fills the allocator's cache
  for (auto _ : state) step();
  state.SetItemsProcessed(state.iterations() * kBatch);
  state.counters["peak_MiB"] = static_cast<double>(device.allocator().stats().peak_bytes) / (1 << 20);
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  int threads = 2, kept = 1;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (!absl::ConsumePrefix(&argument, "--threads=") || !absl::SimpleAtoi(argument, &threads))
      argv[kept++] = argv[i];
  }
  argc = kept;
  halftone::SetNumThreads(threads);
  for (const halftone::models::ModelRow& model : halftone::models::Models()) {
    if (model.vocabulary > 0 || model.for_inference) continue;  // images alone
    for (const halftone::amp::Recipe& recipe : halftone::amp::Recipes()) {
      benchmark::RegisterBenchmark(absl::StrCat(model.name, "_step/", recipe.name).c_str(),
                                   halftone::TrainStep, model, recipe)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("cpu", halftone::DescribeCpu());
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::RunSpecifiedBenchmarks();
}
