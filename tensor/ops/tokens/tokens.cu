#include <cstdint>

#include "tensor/cuda/columns.cuh"
#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/ops/tokens/tokens_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

// All below: kN neighbouring numbers a thread; kN divides D.

template <typename T, int kN>
void PrependOf(const Tensor& x, const Tensor& token, const Tensor& positions, Tensor& y) {
  using S = Wide<T>;
  const T* from = x.device_data<T>();
  const S *first = token.device_data<S>(), *position = positions.device_data<S>();
  S* to = y.device_data<S>();
  const int64_t length = y.shape()[1], d = y.shape()[2];
  cuda::ForEach(y.device(), y.elements() / kN, [=] __device__(int64_t i) {
    const int64_t row = i * kN / d, column = i * kN % d, b = row / length, p = row % length;
    S sum[kN], added[kN];
    if (p == 0) {
      cuda::LoadPacked<kN>(first + column, sum);
    } else {
      cuda::LoadPacked<kN>(from + (row - b - 1) * d + column, sum);
    }
    cuda::LoadPacked<kN>(position + p * d + column, added);
    for (int k = 0; k < kN; ++k) sum[k] += added[k];
    cuda::StorePacked<kN>(to + i * kN, sum);
  });
}

template <typename S, int kN>
struct PositionSums {
  using Sum = double;
  static constexpr int kColumns = kN, kSums = 1;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Terms(int64_t row, double (&terms)[1][kN]) {
    cuda::LoadPacked<kN>(dy + row * columns + column, terms[0]);
  }

  const S* dy;
  int64_t columns, column = 0;
};

template <typename T, int kN>
void PrependBackwardOf(const Tensor& dy, PrependTokenGradients& gradients) {
  using S = Wide<T>;
  const int64_t batch = dy.shape()[0], n = dy.shape()[1] - 1, d = dy.shape()[2];
  const S* from = dy.device_data<S>();
  T* to = gradients.dx.device_data<T>();
  cuda::ForEach(dy.device(), gradients.dx.elements() / kN, [=] __device__(int64_t i) {
    const int64_t row = i * kN / d, column = i * kN % d;
    S values[kN];
    cuda::LoadPacked<kN>(from + (row + row / n + 1) * d + column, values);
    cuda::StorePacked<kN>(to + i * kN, values);
  });
  S *token = gradients.dtoken.device_data<S>(), *positions = gradients.dpositions.device_data<S>();
  const auto finish = [=] __device__(int64_t column, const double(&sums)[1]) {
    positions[column] = static_cast<S>(sums[0]);
    if (column < d) token[column] = static_cast<S>(sums[0]);
  };
  const int64_t columns = (n + 1) * d;
  cuda::SumColumns(dy.device(), batch, columns, PositionSums<S, kN>{.dy = from, .columns = columns}, finish);
}

// to[b * to_stride + j] = from[b * from_stride + j] for all b and j < d.
template <typename T, int kN>
void MoveRows(const Tensor& x, int64_t from_stride, int64_t d, int64_t to_stride, Tensor& y) {
  const T* from = x.device_data<T>();
  T* to = y.device_data<T>();
  cuda::ForEach(y.device(), y.shape()[0] * d / kN, [=] __device__(int64_t i) {
    const int64_t b = i * kN / d, column = i * kN % d;
    Wide<T> values[kN];
    cuda::LoadPacked<kN>(from + b * from_stride + column, values);
    cuda::StorePacked<kN>(to + b * to_stride + column, values);
  });
}

void PlaneOf(const Tensor& tokens, int64_t plane, Tensor& y) {
  const int64_t planes = tokens.shape()[1], length = tokens.shape()[2];
  const int64_t* from = tokens.device_data<int64_t>() + plane * length;
  int64_t* to = y.device_data<int64_t>();
  cuda::ForEach(y.device(), y.elements(),
                [=] __device__(int64_t i) { to[i] = from[i / length * planes * length + i % length]; });
}

void PositionsOf(Tensor& y) {
  const int64_t length = y.shape()[1];
  int64_t* to = y.device_data<int64_t>();
  cuda::ForEach(y.device(), y.elements(), [=] __device__(int64_t i) { to[i] = i % length; });
}

}  // namespace

const TokensKernels kTokensKernels = {
    .prepend_forward =
        [](const Tensor& x, const Tensor& token, const Tensor& positions, Tensor& y) {
          cuda::VisitPackedWide(x.dtype(), x.shape()[2], [&](auto type, auto packed) {
            PrependOf<decltype(type), packed()>(x, token, positions, y);
          });
        },
    .prepend_backward =
        [](const Tensor& dy, PrependTokenGradients& gradients) {
          cuda::VisitPackedWide(gradients.dx.dtype(), dy.shape()[2], [&](auto type, auto packed) {
            PrependBackwardOf<decltype(type), packed()>(dy, gradients);
          });
        },
    .first_forward =
        [](const Tensor& x, Tensor& y) {
          const int64_t length = x.shape()[1], d = x.shape()[2];
          cuda::VisitPackedWide(x.dtype(), d, [&](auto type, auto packed) {
            MoveRows<decltype(type), packed()>(x, length * d, d, d, y);
          });
        },
    .first_backward =
        [](const Tensor& dy, Tensor& dx) {
          const int64_t length = dx.shape()[1], d = dx.shape()[2];
          cuda::VisitPackedWide(dy.dtype(), d, [&](auto type, auto packed) {
            MoveRows<decltype(type), packed()>(dy, d, d, length * d, dx);
          });
        },
    .plane = PlaneOf,
    .positions = PositionsOf,
};

}  // namespace halftone::ops
