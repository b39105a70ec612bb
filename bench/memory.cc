// What a training step keeps in memory, by recipe: weights, gradients, optimiser state and activations. Bytes
// as the allocator counts them: exact, and nothing that time or other load could change.
//
//   ./bazelw run //bench:memory -- [--batch=128]
//
//   weights       live between steps, less the batch and the state: masters, their 16-bit working copies, buffers
//   gradients     live after the backward pass, less before the forward pass
//   state         Adam's moments
//   activations   live after the forward pass, less before: what the tape holds for the backward pass.
//                 The images are handed over and count like any activation: whole where the first layer
//                 keeps them, gone where it keeps a 16-bit copy
//   forward peak  the most that was live during the forward pass, less before: with what ops need for a
//                 moment
//   step peak     the most that was live during a whole step of the trainer
//
// In MiB, and as a multiple of fp32's. What oneDNN allocates by itself is not counted. The peaks depend on
// the machine: where it has no float16 arithmetic, ops work on float32 copies of their operands.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "amp/recipe.h"
#include "base/check.h"
#include "base/cpu.h"
#include "bench/random_batch.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/optim/adam.h"
#include "train/recipe_options.h"
#include "train/trainer.h"

namespace halftone {
namespace {

constexpr const char* kRecipes[] = {"fp32", "amp_bf16", "amp_fp16", "pure_bf16"};

struct ModelCase {
  const char* name;
  int64_t width;
  models::ImageShape image;
};
constexpr ModelCase kModels[] = {
    {"cnn", 64, {}},
    {"mlp", 512, {.channels = 1, .height = 28, .width = 28}},
    {"bignet", 256, {.channels = 1, .height = 16, .width = 16}},
};

// Bytes.
struct Memory {
  int64_t weights = 0, gradients = 0, state = 0, activations = 0, forward_peak = 0, step_peak = 0;
};

struct Column {
  const char* name;
  int64_t Memory::*bytes;
};
constexpr Column kColumns[] = {
    {"weights", &Memory::weights},
    {"gradients", &Memory::gradients},
    {"state", &Memory::state},
    {"activations", &Memory::activations},
    {"forward peak", &Memory::forward_peak},
    {"step peak", &Memory::step_peak},
};

Memory Measure(const ModelCase& model, absl::string_view recipe_name, int64_t batch_size) {
  Device device(/*notes=*/nullptr);
  CachingAllocator& allocator = device.allocator();
  const amp::Recipe recipe = amp::FindRecipe(recipe_name).value();
  auto network = models::MakeModel({.name = model.name, .width = model.width, .image = model.image}).value();
  const TrainerOptions options = RecipeOptions(recipe, *network).value();
  Trainer trainer(device, std::move(network), MakeAdam({}).value(), MakeConstantSchedule({}, 1e-4, 1).value(),
                  GradScaler::Create({.enabled = recipe.scales_loss}).value(), options);
  Batch batch = RandomBatch(device, model.image, batch_size);
  HALFTONE_CHECK(trainer.Step(batch).ok());  // makes the working copies and the optimiser's state
  Memory memory;
  allocator.ResetPeak();
  HALFTONE_CHECK(trainer.Step(batch).ok());
  memory.step_peak = allocator.stats().peak_bytes;
  for (const StateTensor& t : trainer.optimizer().State().tensors) {
    memory.state += static_cast<int64_t>(t.value.size() * sizeof(float));
  }

  const auto image_bytes = static_cast<int64_t>(batch.input.bytes());
  const int64_t before = allocator.stats().live_bytes - image_bytes;
  memory.weights = before - memory.state - static_cast<int64_t>(batch.labels.bytes());
  {
    // The forward and backward pass of a step, with looks in between.
    nn::Graph graph({.device = &device, .policy = &options.policy, .training = true});
    allocator.ResetPeak();
    const nn::Variable loss =
        nn::CrossEntropy(trainer.model().Forward(graph.Input(std::move(batch.input))), batch.labels);
    memory.activations = allocator.stats().live_bytes - before;
    memory.forward_peak = allocator.stats().peak_bytes - before;
    graph.Backward(loss);
  }
  memory.gradients = allocator.stats().live_bytes - before;
  return memory;
}

int Main(absl::Span<char*> arguments) {
  int64_t batch = 128;
  for (absl::string_view argument : arguments) {
    const absl::string_view whole = argument;
    if (!absl::ConsumePrefix(&argument, "--batch=") || !absl::SimpleAtoi(argument, &batch) || batch < 1) {
      absl::FPrintF(stderr, "%s: expected --batch=N above 0\n", whole);
      return 1;
    }
  }
  absl::PrintF("%s; batches of %d; MiB, and times fp32's\n", DescribeCpu(), batch);
  absl::PrintF("%-14s %-10s", "model", "recipe");
  for (const Column& column : kColumns) absl::PrintF(" %16s", column.name);
  absl::PrintF("\n");
  for (const ModelCase& model : kModels) {
    Memory fp32;
    for (const char* recipe : kRecipes) {
      const Memory memory = Measure(model, recipe, batch);
      if (recipe == kRecipes[0]) fp32 = memory;
      absl::PrintF("%-14s %-10s", absl::StrCat(model.name, "/", model.width), recipe);
      for (const Column& column : kColumns) {
        const auto bytes = static_cast<double>(memory.*column.bytes);
        absl::PrintF(" %8.2f (%.3f)", bytes / (1 << 20), bytes / static_cast<double>(fp32.*column.bytes));
      }
      absl::PrintF("\n");
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) { return halftone::Main(absl::MakeSpan(argv + 1, argc - 1)); }
