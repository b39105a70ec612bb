// Every activation, forward and backward, by dtype, on all threads, of 10^6 elements. `ns` is
// the time of one element in the fastest iteration, which other programs on the machine disturb least.
//
//   ./bazelw run //tensor/ops/activation:activation_benchmark -- --benchmark_filter=gelu
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "tensor/ops/activation/activation.h"
#include "tensor/ops/cast/cast.h"

namespace halftone::ops {
namespace {

constexpr int64_t kElements = 1000000;

// Evenly over [-8, 8) and in no order that a processor could predict.
Tensor Inputs(Device& device, DType dtype) {
  Tensor x = Tensor::Empty(device, DType::kF32, {kElements});
  for (int64_t i = 0; i < kElements; ++i) {
    x.data<float>()[i] = static_cast<float>(static_cast<uint32_t>(i) * 2654435761u >> 8) * 0x1p-20f - 8;
  }
  return Cast(x, dtype);
}

void Measure(benchmark::State& state, const Activation& activation, DType dtype, bool backward) {
  using Clock = std::chrono::steady_clock;
  Device device;
  const Tensor x = Inputs(device, dtype);
  Tensor learned;
  if (activation.learned.has_value()) {
    learned = Tensor::From<float>(device, {1}, {{static_cast<float>(*activation.learned)}});
  }
  const Tensor y = ActivationForward(activation, x, learned);
  const Tensor saved = activation.saves_output ? y : x;
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(backward ? ActivationBackward(activation, saved, x, learned)
                                      : ActivationForward(activation, x, learned));
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const auto bytes = static_cast<double>(x.bytes()) * (backward ? 3 : 2);
  state.SetBytesProcessed(static_cast<int64_t>(static_cast<double>(state.iterations()) * bytes));
  state.counters["ns"] = best * 1e9 / kElements;
}

void RegisterAll() {
  for (const Activation& activation : Activations()) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const bool backward : {false, true}) {
        const std::string name =
            absl::StrCat(activation.name, backward ? "/backward/" : "/forward/", NameOf(dtype));
        benchmark::RegisterBenchmark(
            name.c_str(),
            [&activation, dtype, backward](benchmark::State& s) { Measure(s, activation, dtype, backward); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

}  // namespace
}  // namespace halftone::ops

int main(int argc, char** argv) {
  halftone::ops::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
