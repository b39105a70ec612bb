// Bulk conversion to and from half and bfloat16, one thread. Bytes are those read plus those written; beside
// each, memcpy of the same number of bytes.
//
//   ./bazelw run //bench:fp16_conversion
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "benchmark/benchmark.h"
#include "fp16/bfloat16.h"
#include "fp16/convert.h"
#include "fp16/half.h"

namespace halftone {
namespace {

constexpr size_t kBytesPerElement = sizeof(float) + sizeof(half);

template <typename From, typename To>
void ConvertAll(benchmark::State& state) {
  const size_t n = static_cast<size_t>(state.range(0));
  const std::vector<From> from(n, From(1.25f));
  std::vector<To> to(n, To(0.0f));
  for (auto _ : state) {
    Convert(from.data(), to.data(), n);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * kBytesPerElement);
}

void Memcpy(benchmark::State& state) {
  const size_t bytes = static_cast<size_t>(state.range(0)) * kBytesPerElement / 2;  // read, and written
  const std::vector<uint8_t> from(bytes, 1);
  std::vector<uint8_t> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * kBytesPerElement);
}

#define HALFTONE_SIZES Arg(100)->Arg(1'000)->Arg(10'000)->Arg(10'000'000)
BENCHMARK(ConvertAll<float, half>)->Name("float_to_half")->HALFTONE_SIZES;
BENCHMARK(ConvertAll<half, float>)->Name("half_to_float")->HALFTONE_SIZES;
BENCHMARK(ConvertAll<float, bfloat16>)->Name("float_to_bfloat16")->HALFTONE_SIZES;
BENCHMARK(ConvertAll<bfloat16, float>)->Name("bfloat16_to_float")->HALFTONE_SIZES;
BENCHMARK(Memcpy)->Name("memcpy")->HALFTONE_SIZES;
#undef HALFTONE_SIZES

}  // namespace
}  // namespace halftone
