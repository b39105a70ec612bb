// Full training steps (forward, backward, unscale and check, optimiser, working copies) in mixed precision
// against float32, in turns within one run: an MLP (784-256-10), where a step is mostly small things, and
// BigNet (18.9 million weights), where it is matrix products and memory.
//
//   ./bazelw run //bench:training_step -- [--threads=2] [--rounds=9] [--only=bignet/128/adam]
//
// A round gives every recipe one turn of several steps. Times are those of one step: median, least and most
// of the rounds; "x fp32" is how many times faster than float32 in the same round: median (least to most). A
// machine with other work to do shows in the load average and in the spread.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "amp/recipe.h"
#include "base/check.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "bench/random_batch.h"
#include "models/model.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr const char* kRecipes[] = {"fp32", "amp_bf16", "amp_fp16"};
constexpr int64_t kBatches[] = {32, 128};

struct ModelCase {
  const char* name;
  int64_t width;
  models::ImageShape image;
};
constexpr ModelCase kModels[] = {
    {"mlp", 256, {.channels = 1, .height = 28, .width = 28}},
    {"bignet", 1024, {.channels = 1, .height = 32, .width = 32}},
};

struct OptimizerCase {
  const char* name;
  std::unique_ptr<Optimizer> (*make)();
};
constexpr OptimizerCase kOptimizers[] = {
    {"sgd", [] { return MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}).value(); }},
    {"adam", [] { return MakeAdam({}).value(); }},
};

// One recipe's model, optimiser and data.
class Runner {
 public:
  Runner(absl::string_view recipe_name, const ModelCase& model, int64_t batch, const OptimizerCase& optimizer)
      : batch_(RandomBatch(device_, model.image, batch)) {
    const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
    auto network =
        models::MakeModel({.name = model.name, .width = model.width, .image = model.image}).value();
    const TrainerOptions options = RecipeOptions(recipe, *network).value();
    trainer_ = std::make_unique<Trainer>(
        device_, std::move(network), optimizer.make(), MakeConstantSchedule({}, 1e-4, 1).value(),
        GradScaler::Create({.enabled = recipe.scales_loss}).value(), options);
    Steps(3);  // makes the primitives and fills the allocator's cache
    // A turn is long enough for the clock, and for what the other recipes left in the caches not to matter.
    steps_ = std::max<int64_t>(1, static_cast<int64_t>(0.1 / Steps(2)));
  }

  // Seconds a step.
  double Turn() { return Steps(steps_); }

 private:
  double Steps(int64_t steps) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < steps; ++i) {
      const absl::StatusOr<StepResult> result = trainer_->Step(batch_);
      HALFTONE_CHECK(result.ok() && !result->skipped);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
           static_cast<double>(steps);
  }

  Device device_;
  const Batch batch_;
  std::unique_ptr<Trainer> trainer_;
  int64_t steps_ = 1;
};

struct Spread {
  double median, least, most;
};

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

void Measure(const std::string& name, const ModelCase& model, int64_t batch, const OptimizerCase& optimizer,
             int rounds) {
  std::vector<std::unique_ptr<Runner>> runners;
  for (const char* recipe : kRecipes) {
    runners.push_back(std::make_unique<Runner>(recipe, model, batch, optimizer));
  }
  std::vector<std::vector<double>> seconds(runners.size()), speedups(runners.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < runners.size(); ++i) {
      seconds[i].push_back(runners[i]->Turn());
      speedups[i].push_back(seconds[0].back() / seconds[i].back());
    }
  }
  double load = 0;
  getloadavg(&load, 1);
  for (size_t i = 0; i < runners.size(); ++i) {
    const Spread ms = SpreadOf(seconds[i]), speedup = SpreadOf(speedups[i]);
    absl::PrintF("%-18s %-9s %10.3f %10.3f %10.3f %8.2f (%.2f to %.2f) %8.2f\n", name, kRecipes[i],
                 1e3 * ms.median, 1e3 * ms.least, 1e3 * ms.most, speedup.median, speedup.least, speedup.most,
                 load);
  }
  std::fflush(stdout);
}

int Main(absl::Span<char*> arguments) {
  int threads = 2, rounds = 9;
  std::string only;
  for (absl::string_view argument : arguments) {
    const absl::string_view whole = argument;
    const bool known =
        (absl::ConsumePrefix(&argument, "--threads=") && absl::SimpleAtoi(argument, &threads)) ||
        (absl::ConsumePrefix(&argument, "--rounds=") && absl::SimpleAtoi(argument, &rounds)) ||
        (absl::ConsumePrefix(&argument, "--only=") && (only = std::string(argument), true));
    if (!known || rounds < 1 || threads < 0) {
      absl::FPrintF(stderr, "%s: expected --threads=N, --rounds=N above 0, or --only=PART_OF_A_NAME\n",
                    whole);
      return 1;
    }
  }
  SetNumThreads(threads);
  absl::PrintF("%s; %d threads\n", DescribeCpu(), NumThreads());
  absl::PrintF("%-18s %-9s %10s %10s %10s %8s %22s\n", "model/batch/optim.", "recipe", "median ms", "least",
               "most", "x fp32", "load average");
  for (const ModelCase& model : kModels) {
    for (const int64_t batch : kBatches) {
      for (const OptimizerCase& optimizer : kOptimizers) {
        const std::string name = absl::StrCat(model.name, "/", batch, "/", optimizer.name);
        if (absl::StrContains(name, only)) Measure(name, model, batch, optimizer, rounds);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) { return halftone::Main(absl::MakeSpan(argv + 1, argc - 1)); }
