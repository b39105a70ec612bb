// Codebooks of 4 to 256 values, made for the data (normal): 10^7 float32, one scale.
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"

namespace halftone {
namespace {

constexpr size_t kElements = 10'000'000;
constexpr float kScale = 5;

const std::vector<float>& Data() {
  static const auto* const data = [] {
    auto* const x = new std::vector<float>(kElements);
    const Rng rng(1);
    for (size_t i = 0; i < kElements; ++i) (*x)[i] = rng.Normal(i);
    return x;
  }();
  return *data;
}

Codebook MakeCodebook(int64_t size) {
  return QuantileCodebook(Data(), {&kScale, 1}, static_cast<int>(size)).value();
}

void CodebookForward(benchmark::State& state) {
  const Codebook codebook = MakeCodebook(state.range(0));
  std::vector<float> y(kElements);
  for (auto _ : state) FakeQuantize(codebook, Data(), {&kScale, 1}, absl::MakeSpan(y));
}

void CodebookQuantize(benchmark::State& state) {
  const Codebook codebook = MakeCodebook(state.range(0));
  std::vector<uint8_t> codes(kElements);
  for (auto _ : state) Quantize(codebook, Data(), {&kScale, 1}, absl::MakeSpan(codes));
}

void CodebookDequantize(benchmark::State& state) {
  const Codebook codebook = MakeCodebook(state.range(0));
  std::vector<uint8_t> codes(kElements);
  std::vector<float> y(kElements);
  Quantize(codebook, Data(), {&kScale, 1}, absl::MakeSpan(codes));
  for (auto _ : state) Dequantize(codebook, codes, {&kScale, 1}, absl::MakeSpan(y));
}

// The gradients of elements, values and scale. dy: the data too, in another order.
void CodebookBackward(benchmark::State& state) {
  const Codebook codebook = MakeCodebook(state.range(0));
  const std::vector<float> dy(Data().rbegin(), Data().rend());
  std::vector<float> dx(kElements);
  std::vector<double> dvalues(codebook.size());
  double dscale;
  for (auto _ : state) {
    FakeQuantizeBackward(codebook, Data(), {&kScale, 1}, dy, absl::MakeSpan(dx), absl::MakeSpan(dvalues),
                         {&dscale, 1});
  }
}

// A codebook itself, as after each step of training.
void CodebookCreate(benchmark::State& state) {
  const Codebook codebook = MakeCodebook(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(Codebook::Create(codebook.values()));
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int size : {4, 8, 16, 64, 256}) benchmark->Arg(size);
}
BENCHMARK(CodebookForward)->Apply(Sizes);
BENCHMARK(CodebookQuantize)->Apply(Sizes);
BENCHMARK(CodebookDequantize)->Apply(Sizes);
BENCHMARK(CodebookBackward)->Apply(Sizes);
BENCHMARK(CodebookCreate)->Apply(Sizes);

}  // namespace
}  // namespace halftone
