// The optimiser's share of a training step, on parameters shaped like ResNet18's: 11,173,962 of them in 62
// tensors.
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/parallel.h"
#include "benchmark/benchmark.h"
#include "nn/optim/adam.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/sgd.h"
#include "scaler/unscale.h"
#include "testing/resnet18_sizes.h"

namespace halftone {
namespace {

struct Model {
  Model() {
    for (const size_t n : ResNet18Sizes()) {
      names.push_back("p" + std::to_string(names.size()));
      values.emplace_back(n, 0.5f);
      grads.emplace_back(n, 1e-3f);
      count += n;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      refs.push_back({names[i], absl::MakeSpan(values[i]), grads[i]});
      grad_spans.push_back(absl::MakeSpan(grads[i]));
    }
  }

  // `floats` are those read and written for each parameter.
  void Report(benchmark::State& state, size_t floats) const {
    state.SetItemsProcessed(state.iterations() * count);
    state.SetBytesProcessed(state.iterations() * count * floats * sizeof(float));
    state.counters["tensors"] = values.size();
    state.counters["parameters"] = count;
  }

  std::vector<std::string> names;
  std::vector<std::vector<float>> values, grads;
  std::vector<ParamRef> refs;
  std::vector<absl::Span<float>> grad_spans;
  size_t count = 0;
};

void Step(benchmark::State& state, std::unique_ptr<Optimizer> optimizer, size_t floats) {
  SetNumThreads(state.range(0));
  Model model;
  optimizer->Step(model.refs, {.learning_rate = 1e-3});  // allocates
  for (auto _ : state) optimizer->Step(model.refs, {.learning_rate = 1e-3});
  model.Report(state, floats);
}

void SgdMomentumWeightDecay(benchmark::State& state) {
  Step(state, *MakeSgd({.momentum = 0.9, .weight_decay = 5e-4}), 5);
}
void AdamStep(benchmark::State& state) { Step(state, *MakeAdam({}), 7); }
void AdamWStep(benchmark::State& state) { Step(state, *MakeAdamW({}), 7); }

void Unscale(benchmark::State& state) {
  SetNumThreads(state.range(0));
  Model model;
  // A scale of 1 keeps the gradients as they are from one iteration to the next; no time depends on it.
  for (auto _ : state) benchmark::DoNotOptimize(UnscaleAndCheck(model.grad_spans, 1));
  model.Report(state, 2);
}

void Clip(benchmark::State& state) {
  SetNumThreads(state.range(0));
  Model model;
  for (auto _ : state) ClipByGlobalNorm(model.grad_spans, 1, 1);
  model.Report(state, 2);
}

// By the number of threads.
BENCHMARK(SgdMomentumWeightDecay)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(AdamStep)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(AdamWStep)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(Unscale)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(Clip)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone
