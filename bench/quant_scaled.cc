// Fake quantisation, scales and blocks: 10^7 normal float32 as 1250 rows of 8000, like weights of 1250
// channels. Buffers are aligned as tensors are.
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "quant/block_format.h"
#include "quant/formats.h"
#include "quant/integer_format.h"
#include "quant/scaled.h"
#include "quant/scales.h"

namespace halftone {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kRows = 1250, kRowSize = 8000, kElements = kRows * kRowSize;
constexpr IntegerFormat kInt8 = kIntegerFormats[0], kInt8Affine = kIntegerFormats[3];

// `n` elements at an address as good as a tensor's, all written once.
template <typename T>
class Buffer {
 public:
  explicit Buffer(size_t n) : storage_(n + kAlignment / sizeof(T)), n_(n) {}

  absl::Span<T> span() {
    const size_t misalignment = reinterpret_cast<uintptr_t>(storage_.data()) % kAlignment;
    const size_t skipped = (kAlignment - misalignment) % kAlignment / sizeof(T);
    return absl::MakeSpan(storage_).subspan(skipped, n_);
  }

 private:
  std::vector<T> storage_;
  size_t n_;
};

absl::Span<const float> Data() {
  static auto* const data = [] {
    auto* const x = new Buffer<float>(kElements);
    const absl::Span<float> to = x->span();
    for (size_t i = 0; i < kElements; ++i) to[i] = Rng(1).Normal(i);
    return x;
  }();
  return data->span();
}

template <class Format>
std::vector<float> ScalesOf(const Format& format, size_t rows) {
  std::vector<float> scales(rows);
  ComputeScales(format, Data(), {}, absl::MakeSpan(scales));
  return scales;
}

void FakeInt8(benchmark::State& state, const IntegerFormat& format, size_t rows, Rounding rounding) {
  const std::vector<float> scales = ScalesOf(format, rows);
  const std::vector<int32_t> zero_points(format.affine ? rows : 0, 3);
  Buffer<float> y(kElements);
  for (auto _ : state) {
    FakeQuantize(format, Data(), scales, zero_points, rounding, y.span(), RandomBits(Rng(2), 0));
  }
}

// With a scale of 1: there and back.
void FakeFloat(benchmark::State& state, const FloatFormat& format, Rounding rounding) {
  Buffer<float> y(kElements);
  const absl::Span<const float> x = Data();
  for (auto _ : state) FakeQuantize(format, x, {1.0f}, rounding, y.span(), RandomBits(Rng(2), 0));
}

void QuantizeFloat8(benchmark::State& state) {
  Buffer<uint8_t> codes(kElements);
  const absl::Span<const float> x = Data();
  for (auto _ : state) Quantize(kFloat8E4m3fn, x, {1.0f}, Rounding::kNearestEven, codes.span());
}

void DequantizeFloat8(benchmark::State& state) {
  Buffer<uint8_t> codes(kElements);
  Buffer<float> y(kElements);
  Quantize(kFloat8E4m3fn, Data(), {1.0f}, Rounding::kNearestEven, codes.span());
  for (auto _ : state) Dequantize(kFloat8E4m3fn, codes.span(), {1.0f}, y.span());
}

void Backward(benchmark::State& state) {
  const std::vector<float> scales = ScalesOf(kInt8, 1);
  Buffer<float> dx(kElements);
  double dscale;
  for (auto _ : state) {
    FakeQuantizeBackward(kInt8, Data(), scales, {}, Data(), dx.span(), {&dscale, 1});
  }
}

void Scales(benchmark::State& state, const ScaleOptions& options, size_t rows) {
  std::vector<float> scales(rows);
  const absl::Span<const float> x = Data();
  for (auto _ : state) ComputeScales(kInt8, x, options, absl::MakeSpan(scales));
}

void ToBlocks(benchmark::State& state, size_t row, BlockScaleRule rule) {
  const BlockFormat& format = kBlockFormats[row];
  Buffer<uint8_t> codes(kElements), scales(kRows * format.BlocksPerRow(kRowSize));
  float tensor_scale;
  const absl::Span<const float> x = Data();
  for (auto _ : state) {
    QuantizeBlocks(format, x, kRowSize, {.rule = rule}, codes.span(), scales.span(), &tensor_scale);
  }
}

void FromBlocks(benchmark::State& state, size_t row) {
  const BlockFormat& format = kBlockFormats[row];
  Buffer<uint8_t> codes(kElements), scales(kRows * format.BlocksPerRow(kRowSize));
  Buffer<float> y(kElements);
  float tensor_scale;
  QuantizeBlocks(format, Data(), kRowSize, {}, codes.span(), scales.span(), &tensor_scale);
  for (auto _ : state)
    DequantizeBlocks(format, codes.span(), scales.span(), tensor_scale, kRowSize, y.span());
}

void FakeBlocks(benchmark::State& state, size_t row) {
  Buffer<float> y(kElements);
  const absl::Span<const float> x = Data();
  for (auto _ : state) FakeQuantizeBlocks(kBlockFormats[row], x, kRowSize, {}, y.span());
}

constexpr Rounding kNearest = Rounding::kNearestEven;
#define HALFTONE_MS UseRealTime()->Unit(benchmark::kMillisecond)
BENCHMARK_CAPTURE(FakeInt8, per_tensor, kInt8Affine, 1, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeInt8, per_channel, kInt8Affine, kRows, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeInt8, symmetric, kInt8, 1, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeInt8, stochastic, kInt8, 1, Rounding::kStochastic)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeFloat, float8_e4m3fn, kFloat8E4m3fn, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeFloat, float8_e5m2, kFloat8E5m2, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeFloat, float4_e2m1fn, kFloat4E2m1fn, kNearest)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeFloat, float8_e4m3fn_stochastic, kFloat8E4m3fn, Rounding::kStochastic)->HALFTONE_MS;
BENCHMARK(QuantizeFloat8)->HALFTONE_MS;
BENCHMARK(DequantizeFloat8)->HALFTONE_MS;
BENCHMARK(Backward)->HALFTONE_MS;
BENCHMARK_CAPTURE(Scales, amax_per_tensor, ScaleOptions(), 1)->HALFTONE_MS;
BENCHMARK_CAPTURE(Scales, amax_per_channel, ScaleOptions(), kRows)->HALFTONE_MS;
BENCHMARK_CAPTURE(Scales, percentile, ScaleOptions{.rule = ScaleRule::kPercentile}, 1)->HALFTONE_MS;
BENCHMARK_CAPTURE(Scales, mse, ScaleOptions{.rule = ScaleRule::kMse}, 1)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, mxfp8, 0, BlockScaleRule::kFloor)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, mxfp8_rceil, 0, BlockScaleRule::kRceil)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, mxfp6, 2, BlockScaleRule::kFloor)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, mxfp4, 4, BlockScaleRule::kFloor)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, mxint8, 5, BlockScaleRule::kFloor)->HALFTONE_MS;
BENCHMARK_CAPTURE(ToBlocks, nvfp4, 6, BlockScaleRule::kFloor)->HALFTONE_MS;
BENCHMARK_CAPTURE(FromBlocks, mxfp8, 0)->HALFTONE_MS;
BENCHMARK_CAPTURE(FromBlocks, nvfp4, 6)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeBlocks, mxfp8, 0)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeBlocks, mxfp4, 4)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeBlocks, mxint8, 5)->HALFTONE_MS;
BENCHMARK_CAPTURE(FakeBlocks, nvfp4, 6)->HALFTONE_MS;
#undef HALFTONE_MS

}  // namespace
}  // namespace halftone
