// The safety check of numbers in memory, in a core's own cache, one thread; beside it the plain sum of the same
// numbers' bits, the least that a pass over them can do.
//
//   bazel run //bench:safety
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "fp16/safety.h"
#include "quant/formats.h"

namespace halftone {
namespace {

constexpr size_t kElements = 64 * 1024;

// As a trained layer's weights are spread: normally, with deviation 0.02.
std::vector<float> Weights() {
  const Rng rng(1);
  std::vector<float> weights;
  for (size_t i = 0; i < kElements; ++i) weights.push_back(0.02f * rng.Normal(i));
  return weights;
}

void Check(benchmark::State& state, absl::Span<const FloatFormat> formats) {
  const std::vector<float> weights = Weights();
  SafetyCheck check(formats);
  for (auto _ : state) check.Add(weights);
  benchmark::DoNotOptimize(check.numbers().zeros);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kElements * sizeof(float)));
}

void Sum(benchmark::State& state) {
  const std::vector<float> weights = Weights();
  for (auto _ : state) {
    uint64_t sum = 0;
    for (const float w : weights) sum += std::bit_cast<uint32_t>(w);
    benchmark::DoNotOptimize(sum);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kElements * sizeof(float)));
}

BENCHMARK(Sum)->Name("sum_of_bits");
BENCHMARK_CAPTURE(Check, numbers_alone, absl::Span<const FloatFormat>());
BENCHMARK_CAPTURE(Check, float16, absl::MakeConstSpan(kFloatFormats).first(1));
BENCHMARK_CAPTURE(Check, four_formats, absl::MakeConstSpan(kFloatFormats));

}  // namespace
}  // namespace halftone
