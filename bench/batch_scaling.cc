// Training steps of the CNN by batch size and recipe: time, images/s and memory.
//
//   ./bazelw run //bench:batch_scaling -- [--threads=2] [--rounds=5] [--width=64]
//
// Recipes take turns within a run, one step each a round. Times are medians of the rounds; "x fp32" is how
// many times faster than float32 in the same round, median too. The peak is what the allocator counts at most
// during a step: weights, gradients, batch and activations; the optimiser's and oneDNN's own memory is not
// among them. A machine with other work to do shows in the load average.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
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
#include "nn/optim/sgd.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr int64_t kBatches[] = {64, 128, 256, 512};

// One recipe's model, optimiser and data.
class Runner {
 public:
  Runner(const amp::Recipe& recipe, int64_t width, int64_t batch) : batch_(RandomBatch(device_, {}, batch)) {
    auto model = models::MakeModel({.name = "cnn", .width = width}).value();
    const TrainerOptions options = RecipeOptions(recipe, *model).value();
    trainer_ = std::make_unique<Trainer>(
        device_, std::move(model), MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}).value(),
        MakeConstantSchedule({}, 1e-3, 1).value(),
        GradScaler::Create({.enabled = recipe.scales_loss}).value(), options);
    for (int i = 0; i < 2; ++i) Step();  // makes the primitives and fills the allocator's cache
    device_.allocator().ResetPeak();
  }

  // Seconds.
  double Step() {
    const auto start = std::chrono::steady_clock::now();
    HALFTONE_CHECK(trainer_->Step(batch_).ok());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  int64_t peak_bytes() { return device_.allocator().stats().peak_bytes; }

 private:
  Device device_{/*notes=*/nullptr};
  const Batch batch_;
  std::unique_ptr<Trainer> trainer_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Measure(int64_t width, int64_t batch, int rounds) {
  std::vector<std::unique_ptr<Runner>> runners;
  for (const amp::Recipe& recipe : amp::Recipes()) {
    runners.push_back(std::make_unique<Runner>(recipe, width, batch));
  }
  // fp32 is the first of the recipes.
  std::vector<std::vector<double>> seconds(runners.size()), speedups(runners.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < runners.size(); ++i) {
      seconds[i].push_back(runners[i]->Step());
      speedups[i].push_back(seconds[0].back() / seconds[i].back());
    }
  }
  double load = 0;
  getloadavg(&load, 1);
  for (size_t i = 0; i < runners.size(); ++i) {
    const double step = Median(seconds[i]);
    absl::PrintF("%6d %-10s %10.1f %10.0f %10.1f %8.2f %8.2f\n", batch, amp::Recipes()[i].name, 1e3 * step,
                 static_cast<double>(batch) / step, static_cast<double>(runners[i]->peak_bytes()) / (1 << 20),
                 Median(speedups[i]), load);
  }
  std::fflush(stdout);
}

int Main(absl::Span<char*> arguments) {
  int threads = 2, rounds = 5;
  int64_t width = 64;
  for (absl::string_view argument : arguments) {
    const absl::string_view whole = argument;
    const bool known =
        (absl::ConsumePrefix(&argument, "--threads=") && absl::SimpleAtoi(argument, &threads)) ||
        (absl::ConsumePrefix(&argument, "--rounds=") && absl::SimpleAtoi(argument, &rounds)) ||
        (absl::ConsumePrefix(&argument, "--width=") && absl::SimpleAtoi(argument, &width));
    if (!known || rounds < 1 || threads < 0 || width < 1) {
      absl::FPrintF(stderr, "%s: expected --threads=N, --rounds=N or --width=N above 0\n", whole);
      return 1;
    }
  }
  SetNumThreads(threads);
  absl::PrintF("%s; %d threads; cnn of width %d\n", DescribeCpu(), NumThreads(), width);
  absl::PrintF("%6s %-10s %10s %10s %10s %8s %8s\n", "batch", "recipe", "ms a step", "images/s", "peak MiB",
               "x fp32", "load");
  for (const int64_t batch : kBatches) Measure(width, batch, rounds);
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) { return halftone::Main(absl::MakeSpan(argv + 1, argc - 1)); }
