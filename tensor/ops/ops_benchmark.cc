// The memory-bound ops on the feature maps of a small CNN, [128, size, size, channels], all threads. Bytes
// are those that an op must read and write, taking the second pass of batch norm as memory traffic too.
// `best_ms` and `best` (bytes a second) are those of the fastest iteration, which other programs on the
// machine disturb least.
//
//   ./bazelw run //tensor/ops:ops_benchmark
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "tensor/ops/activation/activation.h"
#include "tensor/ops/batch_norm/batch_norm.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/max_pool/max_pool.h"
#include "tensor/tensor.h"

namespace halftone::ops {
namespace {

Tensor Map(Device& device, DType dtype, const Shape& shape) {
  Tensor x = Tensor::Empty(device, DType::kF32, shape);
  // Not all the same sign: the ReLU and the maxima must not be predictable.
  for (int64_t i = 0; i < x.elements(); ++i) {
    x.data<float>()[i] = static_cast<float>(static_cast<uint32_t>(i) * 2654435761u >> 8) * 0x1p-23f - 1.0f;
  }
  return Cast(x, dtype);
}

struct BatchNormState {
  BatchNormState(Device& device, int64_t channels)
      : gamma(Map(device, DType::kF32, {channels})),
        beta(Map(device, DType::kF32, {channels})),
        mean(Tensor::Zeros(device, DType::kF32, {channels})),
        var(Tensor::Zeros(device, DType::kF32, {channels})) {}

  Tensor gamma, beta, mean, var;
};

// op moves `maps` times the bytes of `map`.
template <typename F>
void Measure(benchmark::State& state, const Tensor& map, double maps, F op) {
  using Clock = std::chrono::steady_clock;
  op();  // touches the memory that later iterations get
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(op());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const double bytes = static_cast<double>(map.bytes()) * maps;
  state.SetBytesProcessed(static_cast<int64_t>(static_cast<double>(state.iterations()) * bytes));
  state.counters["best_ms"] = best * 1e3;
  state.counters["best"] =
      benchmark::Counter(bytes / best, benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
}

void BatchNormReluForward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  BatchNormState bn(device, shape[-1]);
  Measure(state, x, 3, [&] {
    return BatchNormForward(x, bn.gamma, bn.beta, bn.mean, bn.var,
                            {.activation = BatchNormActivation::kRelu});
  });
}

void BatchNormReluBackward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  BatchNormState bn(device, shape[-1]);
  const BatchNormResult saved =
      BatchNormForward(x, bn.gamma, bn.beta, bn.mean, bn.var, {.activation = BatchNormActivation::kRelu});
  Measure(state, x, 5, [&] {
    return BatchNormBackward(x, bn.gamma, bn.beta, saved.mean, saved.inv_std, saved.y,
                             {.activation = BatchNormActivation::kRelu});
  });
}

void MaxPool2x2Forward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  Measure(state, x, 1.25 + 0.25 / static_cast<double>(SizeOf(dtype)), [&] { return MaxPoolForward(x, {}); });
}

void MaxPool2x2Backward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  const MaxPoolResult saved = MaxPoolForward(x, {});
  Measure(state, x, 1.25 + 0.25 / static_cast<double>(SizeOf(dtype)),
          [&] { return MaxPoolBackward(saved.y, saved.index, shape, {}); });
}

void ReluForward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  const Activation& relu = *FindActivation("relu");
  Measure(state, x, 2, [&] { return ActivationForward(relu, x); });
}

void ReluBackward(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, dtype, shape);
  const Activation& relu = *FindActivation("relu");
  Measure(state, x, 3, [&] { return ActivationBackward(relu, x, x); });
}

void CastFromFloat(benchmark::State& state, DType dtype, const Shape& shape) {
  Device device;
  const Tensor x = Map(device, DType::kF32, shape);
  Measure(state, x, 1.5, [&] { return Cast(x, dtype); });
}

void RegisterAll() {
  struct Op {
    const char* name;
    void (*run)(benchmark::State&, DType, const Shape&);
  };
  constexpr Op kOps[] = {
      {"batch_norm_relu_forward", BatchNormReluForward},
      {"batch_norm_relu_backward", BatchNormReluBackward},
      {"max_pool_forward", MaxPool2x2Forward},
      {"max_pool_backward", MaxPool2x2Backward},
      {"relu_forward", ReluForward},
      {"relu_backward", ReluBackward},
      {"cast_from_float32", CastFromFloat},
  };
  const Shape maps[] = {{128, 32, 32, 64}, {128, 16, 16, 128}, {128, 8, 8, 256}, {128, 4, 4, 512}};
  for (const Op& op : kOps) {
    for (const Shape& shape : maps) {
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        if (op.run == CastFromFloat && dtype == DType::kF32) continue;
        const std::string name =
            absl::StrCat(op.name, "/", shape[1], "x", shape[2], "x", shape[3], "/", NameOf(dtype));
        benchmark::RegisterBenchmark(
            name.c_str(), [run = op.run, dtype, shape](benchmark::State& state) { run(state, dtype, shape); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
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
