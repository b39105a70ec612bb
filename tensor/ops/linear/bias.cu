#include "tensor/cuda/columns.cuh"
#include "tensor/ops/linear/bias_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

int64_t Channels(const Tensor& t) { return t.shape()[-1]; }
int64_t Rows(const Tensor& t) { return t.elements() / Channels(t); }

template <typename T, typename B, int kN>
struct AddBody {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) {
    column = first;
    cuda::LoadPacked<kN>(bias + column, added);
  }
  __device__ void Row(int64_t row) {
    Wide<T> values[kN];
    cuda::LoadPacked<kN>(sums + row * channels + column, values);
    for (int c = 0; c < kN; ++c) values[c] += added[c];
    cuda::StorePacked<kN>(y + row * channels + column, values);
  }

  const Wide<T>* sums;
  const B* bias;
  T* y;
  int64_t channels, column = 0;
  Wide<T> added[kN] = {};
};

template <typename T, int kN>
struct GradientSums {
  using Sum = Wide<T>;
  static constexpr int kColumns = kN, kSums = 1;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Terms(int64_t row, Sum (&terms)[1][kN]) {
    cuda::LoadPacked<kN>(dy + row * channels + column, terms[0]);
  }

  const T* dy;
  int64_t channels, column = 0;
};

template <typename T, typename B, int kN>
void AddOf(const Tensor& sums, const Tensor& bias, Tensor& y) {
  cuda::ForColumns(y.device(), Rows(y), Channels(y),
                   AddBody<T, B, kN>{.sums = sums.device_data<Wide<T>>(),
                                     .bias = bias.device_data<B>(),
                                     .y = y.device_data<T>(),
                                     .channels = Channels(y)});
}

template <typename T, int kN>
void GradientOf(const Tensor& dy, Tensor& db) {
  Wide<T>* to = db.device_data<Wide<T>>();
  const auto finish = [=] __device__(int64_t c, const double(&sums)[1]) {
    to[c] = static_cast<Wide<T>>(sums[0]);
  };
  cuda::SumColumns(dy.device(), Rows(dy), Channels(dy),
                   GradientSums<T, kN>{.dy = dy.device_data<T>(), .channels = Channels(dy)}, finish);
}

}  // namespace

const BiasKernels kBiasKernels = {
    .add =
        [](const Tensor& sums, const Tensor& bias, Tensor& y) {
          cuda::VisitPacked(y.dtype(), Channels(y), [&](auto type, auto packed) {
            using T = decltype(type);
            constexpr int kN = decltype(packed)::value;
            bias.dtype() == DType::kF32 ? AddOf<T, float, kN>(sums, bias, y) : AddOf<T, T, kN>(sums, bias, y);
          });
        },
    .gradient =
        [](const Tensor& dy, Tensor& db) {
          cuda::VisitPacked(dy.dtype(), Channels(dy), [&](auto type, auto packed) {
            GradientOf<decltype(type), decltype(packed)::value>(dy, db);
          });
        },
};

}  // namespace halftone::ops
