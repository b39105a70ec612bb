// What mixed precision costs between the backward pass and the optimiser, over ResNet18's gradients
// (11,173,962 in 62 tensors), at two threads unless --threads says otherwise. bench/peers/gradient_scaling.py
// times the same in PyTorch, in turns with this.
//
//   ./bazelw run //bench:gradient_scaling
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/check.h"
#include "benchmark/benchmark.h"
#include "fp16/half.h"
#include "scaler/grad_scaler.h"
#include "scaler/weight_manager.h"
#include "testing/resnet18_sizes.h"

namespace halftone {
namespace {

template <typename T>
struct Arrays {
  Arrays() {
    for (const size_t n : ResNet18Sizes()) {
      arrays.emplace_back(n, T(1e-3f));
      count += static_cast<int64_t>(n);
    }
    for (std::vector<T>& a : arrays) {
      spans.push_back(absl::MakeSpan(a));
      views.push_back(a);
    }
  }

  std::vector<std::vector<T>> arrays;
  std::vector<absl::Span<T>> spans;
  std::vector<absl::Span<const T>> views;
  int64_t count = 0;
};

GradScaler StaticScaler(float scale) {
  return GradScaler::Create({.initial = scale, .dynamic = false}).value();
}

// `unscale`, `clip` and the rest of a step, but for the optimiser.
template <typename Unscale, typename Clip>
void Steps(benchmark::State& state, GradScaler scaler, const Arrays<float>& grads, int bytes,
           const Unscale& unscale, const Clip& clip) {
  for (auto _ : state) {
    HALFTONE_CHECK(unscale(scaler).ok());
    HALFTONE_CHECK(clip(scaler).ok());
    HALFTONE_CHECK(scaler.ShouldStep(0).value());
    HALFTONE_CHECK(scaler.Update().ok());
  }
  state.SetItemsProcessed(state.iterations() * grads.count);
  state.SetBytesProcessed(state.iterations() * grads.count * bytes);
}

constexpr float kScale = 1 + 0x1p-23f;  // not 1, which some implementations treat apart

// Nothing to clip, and the global norm measured to see that.
const auto kNoClipping = [](GradScaler& scaler) { return scaler.ClipFactor(0, 1e9); };

void UnscaleAndNorm(benchmark::State& state) {
  const Arrays<float> grads;
  Steps(
      state, StaticScaler(kScale), grads, 8,
      [&](GradScaler& scaler) { return scaler.Unscale(0, grads.spans); }, kNoClipping);
}

// There always is something to clip, which the optimiser does in its own pass: //bench:optimizer has both.
void UnscaleAndClipFactor(benchmark::State& state) {
  const Arrays<float> grads;
  Steps(
      state, StaticScaler(kScale), grads, 8,
      [&](GradScaler& scaler) { return scaler.Unscale(0, grads.spans); },
      [](GradScaler& scaler) { return scaler.ClipFactor(0, 1); });
}

// For other optimisers, in a pass of its own. Every step doubles the gradients, so that there always is
// something to clip.
void UnscaleAndClip(benchmark::State& state) {
  const Arrays<float> grads;
  Steps(
      state, StaticScaler(0.5f), grads, 16,
      [&](GradScaler& scaler) { return scaler.Unscale(0, grads.spans); },
      [&](GradScaler& scaler) { return scaler.ClipByGlobalNorm(0, grads.spans, 1); });
}

void UnscaleAndCountZeros(benchmark::State& state) {
  const Arrays<float> grads;
  std::vector<int64_t> zeros(grads.spans.size());
  Steps(
      state, StaticScaler(kScale), grads, 8,
      [&](GradScaler& scaler) { return scaler.Unscale(0, grads.spans, absl::MakeSpan(zeros)); }, kNoClipping);
}

void UnscaleFromHalf(benchmark::State& state) {
  const Arrays<half> halves;
  const Arrays<float> grads;
  Steps(
      state, StaticScaler(kScale), grads, 6,
      [&](GradScaler& scaler) { return scaler.Unscale(0, halves.views, grads.spans); }, kNoClipping);
}

void WorkingCopies(benchmark::State& state, const WeightManagerOptions& options) {
  const Arrays<float> initial;
  WeightManager<half> weights(options, initial.views);
  for (auto _ : state) {
    for (size_t i = 0; i < weights.tensors(); ++i) benchmark::DoNotOptimize(weights.MutableMaster(i).data());
    weights.Sync();
  }
  state.SetItemsProcessed(state.iterations() * initial.count);
  state.SetBytesProcessed(state.iterations() * initial.count * 6);
}

#define HALFTONE_MS UseRealTime()->Unit(benchmark::kMillisecond)
BENCHMARK(UnscaleAndNorm)->HALFTONE_MS;
BENCHMARK(UnscaleAndClipFactor)->HALFTONE_MS;
BENCHMARK(UnscaleAndClip)->HALFTONE_MS;
BENCHMARK(UnscaleAndCountZeros)->HALFTONE_MS;
BENCHMARK(UnscaleFromHalf)->HALFTONE_MS;
BENCHMARK_CAPTURE(WorkingCopies, nearest, WeightManagerOptions{})->HALFTONE_MS;
BENCHMARK_CAPTURE(WorkingCopies, stochastic, WeightManagerOptions{.stochastic = true})->HALFTONE_MS;
#undef HALFTONE_MS

}  // namespace
}  // namespace halftone
