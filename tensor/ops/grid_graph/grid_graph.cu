#include <cmath>
#include <cstdint>

#include "tensor/cuda/columns.cuh"
#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/ops/grid_graph/grid_graph_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

// 1 / sqrt(p) for the products p of two degrees.
constexpr int kMostDegree = 5;
template <typename A>
struct Coefficients {
  A of[kMostDegree * kMostDegree + 1];
};

template <typename A>
Coefficients<A> CoefficientsOf() {
  Coefficients<A> c = {};
  for (int p = 1; p <= kMostDegree * kMostDegree; ++p)
    c.of[p] = static_cast<A>(1 / std::sqrt(static_cast<double>(p)));
  return c;
}

template <typename T, int kN>
struct Grids {
  using A = Wide<T>;

  const T* x;
  const A* bias;  // null: zeros
  T* y;
  int64_t rows, columns, features;
  Coefficients<A> coefficients;

  __device__ int Degree(int64_t row, int64_t column) const {
    return 1 + (row > 0) + (row + 1 < rows) + (column > 0) + (column + 1 < columns);
  }

  // kN features of a node, from element i * kN on.
  __device__ void operator()(int64_t i) const {
    const int64_t node = i * kN / features, feature = i * kN % features;
    const int64_t column = node % columns, row = node / columns % rows;
    const int degree = Degree(row, column);
    A sum[kN] = {};
    if (bias != nullptr) cuda::LoadPacked<kN>(bias + feature, sum);
    const auto add = [&](int64_t down, int64_t across) {
      const int64_t r = row + down, c = column + across;
      if (r < 0 || r >= rows || c < 0 || c >= columns) return;
      const A coefficient = coefficients.of[degree * Degree(r, c)];
      A values[kN];
      cuda::LoadPacked<kN>(x + (node + down * columns + across) * features + feature, values);
      for (int k = 0; k < kN; ++k) sum[k] += values[k] * coefficient;
    };
    add(0, 0);
    add(-1, 0);
    add(0, -1);
    add(0, 1);
    add(1, 0);
    cuda::StorePacked<kN>(y + i * kN, sum);
  }
};

template <typename T, int kN>
void SpreadOf(const Tensor& x, const Tensor* bias, Tensor& y) {
  const Grids<T, kN> grids = {.x = x.device_data<T>(),
                              .bias = bias == nullptr ? nullptr : bias->device_data<Wide<T>>(),
                              .y = y.device_data<T>(),
                              .rows = x.shape()[1],
                              .columns = x.shape()[2],
                              .features = x.shape()[3],
                              .coefficients = CoefficientsOf<Wide<T>>()};
  cuda::ForEach(x.device(), x.elements() / kN, grids);
}

template <typename T, int kN>
struct FeatureSums {
  using Sum = double;
  static constexpr int kColumns = kN, kSums = 1;

  __device__ void Begin(int64_t first) { feature = first; }
  __device__ void Terms(int64_t node, double (&terms)[1][kN]) {
    cuda::LoadPacked<kN>(dy + node * features + feature, terms[0]);
  }

  const T* dy;
  int64_t features, feature = 0;
};

template <typename T, int kN>
void SumOf(const Tensor& dy, Tensor& dbias) {
  const int64_t features = dy.shape()[3], nodes = dy.shape()[0] * dy.shape()[1] * dy.shape()[2];
  Wide<T>* to = dbias.device_data<Wide<T>>();
  const auto finish = [=] __device__(int64_t f, const double(&sums)[1]) {
    to[f] = static_cast<Wide<T>>(sums[0]);
  };
  cuda::SumColumns(dy.device(), nodes, features,
                   FeatureSums<T, kN>{.dy = dy.device_data<T>(), .features = features}, finish);
}

}  // namespace

const GridGraphKernels kGridGraphKernels = {
    .spread =
        [](const Tensor& x, const Tensor* bias, Tensor& y) {
          cuda::VisitPackedWide(x.dtype(), x.shape()[3], [&](auto type, auto packed) {
            SpreadOf<decltype(type), packed()>(x, bias, y);
          });
        },
    .sum =
        [](const Tensor& dy, Tensor& dbias) {
          cuda::VisitPackedWide(dy.dtype(), dy.shape()[3],
                                [&](auto type, auto packed) { SumOf<decltype(type), packed()>(dy, dbias); });
        },
};

}  // namespace halftone::ops
