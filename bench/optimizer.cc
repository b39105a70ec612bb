// The optimiser's share of a training step, on parameters like ResNet18's (11,173,962 in 62 tensors), at two
// threads unless --threads says otherwise. bench/peers/optimizer.py times the same in PyTorch, in turns with
// this.
//
//   ./bazelw run //bench:optimizer
#include "nn/optim/optimizer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/check.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "scaler/grad_scaler.h"
#include "testing/resnet18_sizes.h"

namespace halftone {
namespace {

enum class Weights { kMaster, kMasterAndCopy, k16Bit };

struct Model {
  Model(Weights weights, const FloatFormat& format) {
    const std::vector<size_t> sizes = ResNet18Sizes();
    for (const size_t n : sizes) {
      names.push_back("p" + std::to_string(names.size()));
      values.emplace_back(weights == Weights::k16Bit ? 0 : n, 0.5f);
      codes.emplace_back(weights == Weights::kMaster ? 0 : n, uint16_t{0});
      grads.emplace_back(n, 1e-3f);
      count += static_cast<int64_t>(n);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      refs.push_back({.name = names[i],
                      .value = absl::MakeSpan(values[i]),
                      .grad = grads[i],
                      .weights16 = {.format = format, .codes = absl::MakeSpan(codes[i])}});
      grad_spans.push_back(absl::MakeSpan(grads[i]));
    }
  }

  std::vector<std::string> names;
  std::vector<std::vector<float>> values, grads;
  std::vector<std::vector<uint16_t>> codes;
  std::vector<ParamRef> refs;
  std::vector<absl::Span<float>> grad_spans;
  int64_t count = 0;
};

constexpr StepOptions kStep = {.learning_rate = 1e-3};

void Step(benchmark::State& state, std::unique_ptr<Optimizer> optimizer, Weights weights = Weights::kMaster,
          const FloatFormat& format = kFloat16) {
  Model model(weights, format);
  optimizer->Step(model.refs, kStep);  // allocates
  for (auto _ : state) optimizer->Step(model.refs, kStep);
  state.SetItemsProcessed(state.iterations() * model.count);
}

void Sgd(benchmark::State& state) { Step(state, *MakeSgd({.momentum = 0.9, .weight_decay = 5e-4})); }
void Adam(benchmark::State& state) { Step(state, *MakeAdam({})); }
void AdamW(benchmark::State& state) { Step(state, *MakeAdamW({})); }

void AdamWithCopies(benchmark::State& state, const FloatFormat& format) {
  Step(state, *MakeAdam({}), Weights::kMasterAndCopy, format);
}

void Adam16Bit(benchmark::State& state, WeightRounding rounding) {
  std::unique_ptr<Optimizer> adam = *MakeAdam({});
  adam->RoundWeights16(rounding, Rng(1));
  Step(state, std::move(adam), Weights::k16Bit, kBfloat16);
}

// All that follows a backward pass: unscale, check, measure, clip, Adam, working copies. Every step doubles
// the gradients, so that there always is something to clip.
void ClippedAdamWithCopies(benchmark::State& state) {
  Model model(Weights::kMasterAndCopy, kFloat16);
  GradScaler scaler = GradScaler::Create({.initial = 0.5, .dynamic = false}).value();
  const std::unique_ptr<Optimizer> adam = *MakeAdam({});
  adam->Step(model.refs, kStep);
  for (auto _ : state) {
    // Back to where they were before they grow out of range.
    if (model.grads[0][0] > 1e30f) {
      state.PauseTiming();
      for (std::vector<float>& g : model.grads) g.assign(g.size(), 1e-3f);
      state.ResumeTiming();
    }
    HALFTONE_CHECK(scaler.Unscale(0, model.grad_spans).ok());
    StepOptions options = kStep;
    options.gradient_factor = scaler.ClipFactor(0, 1).value();
    if (scaler.ShouldStep(0).value()) adam->Step(model.refs, options);
    HALFTONE_CHECK(scaler.Update().ok());
  }
  state.SetItemsProcessed(state.iterations() * model.count);
}

#define HALFTONE_MS UseRealTime()->Unit(benchmark::kMillisecond)
BENCHMARK(Sgd)->HALFTONE_MS;
BENCHMARK(Adam)->HALFTONE_MS;
BENCHMARK(AdamW)->HALFTONE_MS;
BENCHMARK_CAPTURE(AdamWithCopies, float16, kFloat16)->HALFTONE_MS;
BENCHMARK_CAPTURE(AdamWithCopies, bfloat16, kBfloat16)->HALFTONE_MS;
BENCHMARK(ClippedAdamWithCopies)->HALFTONE_MS;
BENCHMARK_CAPTURE(Adam16Bit, stochastic, WeightRounding::kStochastic)->HALFTONE_MS;
BENCHMARK_CAPTURE(Adam16Bit, kahan, WeightRounding::kKahan)->HALFTONE_MS;
#undef HALFTONE_MS

}  // namespace
}  // namespace halftone
