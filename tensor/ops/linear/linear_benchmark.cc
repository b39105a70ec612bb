// GFLOP/s of every implementation on typical linear layers.
//
//   ./bazelw run //tensor/ops/linear:linear_benchmark
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/tensor.h"

namespace halftone::ops {
namespace {

Tensor Random(Device& device, DType dtype, const Shape& shape, uint32_t stream) {
  const Rng rng = Rng(1).Stream(stream);
  Tensor t = Tensor::Empty(device, dtype, shape);
  VisitFloat(dtype, [&](auto type) {
    auto elements = t.span<decltype(type)>();
    for (size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<decltype(type)>(rng.Normal(i));
  });
  return t;
}

enum class Pass { kForward, kBackwardData, kBackwardWeights };

void Run(benchmark::State& state, const LinearImplementation& implementation, const LinearProblem& problem,
         Pass pass) {
  Device device;
  const Tensor x = Random(device, problem.dtype, {problem.m, problem.k}, 1);
  const Tensor w = Random(device, problem.dtype, {problem.n, problem.k}, 2);
  const Tensor dy = Random(device, problem.dtype, {problem.m, problem.n}, 3);
  Tensor y = dy.Clone(), dx = x.Clone();
  WeightGradients grads{.dw = Tensor::Empty(device, DType::kF32, w.shape()),
                        .db = Tensor::Empty(device, DType::kF32, {problem.n})};
  const auto run = [&] {
    switch (pass) {
      case Pass::kForward:
        return implementation.forward(problem, x, w, Tensor(), &y);
      case Pass::kBackwardData:
        return implementation.backward_data(problem, dy, w, &dx);
      case Pass::kBackwardWeights:
        return implementation.backward_weights(problem, x, dy, &grads);
    }
  };
  run();  // makes the primitives and warms the allocator
  for (auto _ : state) run();
  const double products = static_cast<double>(problem.m) * problem.k * problem.n;
  state.counters["FLOP/s"] = benchmark::Counter(2 * products, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace
}  // namespace halftone::ops

int main(int argc, char** argv) {
  using namespace halftone;
  using namespace halftone::ops;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (LinearProblem problem : std::vector<LinearProblem>{{.m = 128, .k = 512, .n = 10},
                                                          {.m = 128, .k = 784, .n = 512},
                                                          {.m = 1, .k = 1024, .n = 1024},
                                                          {.m = 32, .k = 784, .n = 512},
                                                          {.m = 128, .k = 1024, .n = 1024},
                                                          {.m = 256, .k = 1024, .n = 1024},
                                                          {.m = 64, .k = 1024, .n = 1024},
                                                          {.m = 1024, .k = 1024, .n = 1024},
                                                          {.m = 8192, .k = 192, .n = 768},
                                                          {.m = 1024, .k = 768, .n = 3072}}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      problem.dtype = dtype;
      for (const LinearImplementation& implementation : LinearImplementations()) {
        // The reference would run for minutes.
        if (!implementation.supports(problem) || &implementation == &LinearImplementations().back()) continue;
        for (const auto& [pass, name] :
             {std::pair(Pass::kForward, "forward"), std::pair(Pass::kBackwardData, "backward_data"),
              std::pair(Pass::kBackwardWeights, "backward_weights")}) {
          const std::string title = absl::StrCat("m", problem.m, "_k", problem.k, "_n", problem.n, "/",
                                                 NameOf(dtype), "/", implementation.name, "/", name);
          benchmark::RegisterBenchmark(title.c_str(),
                                       [&implementation, problem, pass = pass](benchmark::State& state) {
                                         Run(state, implementation, problem, pass);
                                       })
              ->Unit(benchmark::kMillisecond)
              ->UseRealTime();
        }
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
