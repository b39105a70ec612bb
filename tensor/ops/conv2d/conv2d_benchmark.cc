// GFLOP/s of every implementation on the four layers of the CNN and on typical layers of other models.
//
//   ./bazelw run //tensor/ops/conv2d:conv2d_benchmark -- --benchmark_filter=c64
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "tensor/ops/conv2d/conv2d.h"
#include "tensor/ops/conv2d/implementations.h"

namespace halftone::ops {
namespace {

struct Layer {
  const char* name;
  Shape x, w;
  Conv2dOptions options;
};

std::vector<Layer> Layers() {
  return {
      {"cnn_c3", {128, 32, 32, 3}, {64, 3, 3, 3}, {.padding = 1}},
      {"cnn_c64", {128, 16, 16, 64}, {128, 64, 3, 3}, {.padding = 1}},
      {"cnn_c128", {128, 8, 8, 128}, {256, 128, 3, 3}, {.padding = 1}},
      {"cnn_c256", {128, 4, 4, 256}, {512, 256, 3, 3}, {.padding = 1}},
      {"resnet20_c16", {128, 32, 32, 16}, {16, 16, 3, 3}, {.padding = 1}},
      {"resnet18_stride2", {128, 32, 32, 64}, {128, 64, 3, 3}, {.stride = 2, .padding = 1}},
      {"mobilenet_depthwise", {128, 16, 16, 96}, {96, 1, 3, 3}, {.padding = 1, .groups = 96}},
      {"mobilenet_1x1", {128, 16, 16, 32}, {192, 32, 1, 1}, {}},
      {"vit_patch4", {128, 32, 32, 3}, {192, 3, 4, 4}, {.stride = 4}},
  };
}

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

void Run(benchmark::State& state, const Conv2dImplementation& implementation, DType dtype, const Layer& layer,
         Pass pass) {
  const Conv2dProblem problem = Conv2dProblem::Of(dtype, layer.x, layer.w, layer.options);
  Device device;
  const Tensor x = Random(device, dtype, layer.x, 1), w = Random(device, dtype, layer.w, 2);
  const Tensor dy = Random(device, dtype, problem.y_shape(), 3);
  Tensor y = dy.Clone(), dx = x.Clone();
  WeightGradients grads{.dw = Tensor::Empty(device, DType::kF32, layer.w), .db = Tensor()};
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
  const int64_t system_allocations = device.allocator().stats().system_allocations;
  for (auto _ : state) run();
  const double products = static_cast<double>(dy.elements()) * layer.w.elements() / layer.w[0];
  state.counters["FLOP/s"] = benchmark::Counter(2 * products, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["system_allocations"] = device.allocator().stats().system_allocations - system_allocations;
}

}  // namespace
}  // namespace halftone::ops

int main(int argc, char** argv) {
  using namespace halftone;
  using namespace halftone::ops;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (const Layer& layer : Layers()) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      const Conv2dProblem problem = Conv2dProblem::Of(dtype, layer.x, layer.w, layer.options);
      for (const Conv2dImplementation& implementation : Conv2dImplementations()) {
        // The reference would run for minutes.
        if (!implementation.supports(problem) || &implementation == &Conv2dImplementations().back()) continue;
        for (const auto& [pass, name] :
             {std::pair(Pass::kForward, "forward"), std::pair(Pass::kBackwardData, "backward_data"),
              std::pair(Pass::kBackwardWeights, "backward_weights")}) {
          benchmark::RegisterBenchmark(
              absl::StrCat(layer.name, "/", NameOf(dtype), "/", implementation.name, "/", name).c_str(),
              [&implementation, dtype, layer, pass = pass](benchmark::State& state) {
                Run(state, implementation, dtype, layer, pass);
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
