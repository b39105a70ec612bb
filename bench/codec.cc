// The bulk codec, one thread: float8_e4m3fn there and back, float16 toward zero, bfloat16 stochastically.
// Bytes are those read plus those written; beside each, memcpy of the same number of bytes.
//
//   ./bazelw run //bench:codec
#include "fp16/codec.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "fp16/format.h"
#include "quant/formats.h"

namespace halftone {
namespace {

std::vector<float> Values(size_t n) {
  const Rng rng(1);
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = 4 * rng.Uniform(i) - 2;
  return values;
}

template <typename Code>
void SetBytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0) *
                          static_cast<int64_t>(sizeof(float) + sizeof(Code)));
}

template <typename Code>
void EncodeArray(benchmark::State& state, const FloatFormat& format, Rounding rounding, Overflow overflow) {
  const std::vector<float> values = Values(static_cast<size_t>(state.range(0)));
  std::vector<Code> codes(values.size());
  for (auto _ : state) {
    EncodeAll(format, values, rounding, overflow, absl::MakeSpan(codes), RandomBits(Rng(1), 0));
    benchmark::ClobberMemory();
  }
  SetBytes<Code>(state);
}

void EncodeFloat8(benchmark::State& state) {
  EncodeArray<uint8_t>(state, kFloat8E4m3fn, Rounding::kNearestEven, Overflow::kSaturate);
}
void EncodeFloat16TowardZero(benchmark::State& state) {
  EncodeArray<uint16_t>(state, kFloat16, Rounding::kTowardZero, Overflow::kSaturate);
}
void EncodeBfloat16Stochastically(benchmark::State& state) {
  EncodeArray<uint16_t>(state, kBfloat16, Rounding::kStochastic, Overflow::kInfinity);
}

void DecodeFloat8(benchmark::State& state) {
  const std::vector<uint8_t> codes(static_cast<size_t>(state.range(0)), 0x3a);
  std::vector<float> values(codes.size());
  for (auto _ : state) {
    DecodeAll(kFloat8E4m3fn, codes, absl::MakeSpan(values));
    benchmark::ClobberMemory();
  }
  SetBytes<uint8_t>(state);
}

void RoundToFloat8(benchmark::State& state) {
  const std::vector<float> values = Values(static_cast<size_t>(state.range(0)));
  std::vector<float> rounded(values.size());
  for (auto _ : state) {
    RoundAll(kFloat8E4m3fn, values, Rounding::kNearestEven, Overflow::kSaturate, absl::MakeSpan(rounded));
    benchmark::ClobberMemory();
  }
  SetBytes<float>(state);
}

template <typename Code>
void Memcpy(benchmark::State& state) {
  const size_t bytes = static_cast<size_t>(state.range(0)) * (sizeof(float) + sizeof(Code)) / 2;
  const std::vector<uint8_t> from(bytes, 1);
  std::vector<uint8_t> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::ClobberMemory();
  }
  SetBytes<Code>(state);
}

#define HALFTONE_SIZES Arg(100)->Arg(10'000)->Arg(10'000'000)
BENCHMARK(EncodeFloat8)->HALFTONE_SIZES;
BENCHMARK(DecodeFloat8)->HALFTONE_SIZES;
BENCHMARK(RoundToFloat8)->HALFTONE_SIZES;
BENCHMARK(Memcpy<uint8_t>)->HALFTONE_SIZES;
BENCHMARK(EncodeFloat16TowardZero)->HALFTONE_SIZES;
BENCHMARK(EncodeBfloat16Stochastically)->HALFTONE_SIZES;
BENCHMARK(Memcpy<uint16_t>)->HALFTONE_SIZES;
#undef HALFTONE_SIZES

}  // namespace
}  // namespace halftone
