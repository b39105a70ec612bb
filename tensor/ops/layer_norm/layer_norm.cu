// A row a warp, or a block where it is long: passed over two or three times, of which the first brings it
// into the nearest cache.
#include "tensor/cuda/columns.cuh"
#include "tensor/ops/layer_norm/layer_norm_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

constexpr int64_t kLongestOfAWarp = 1024;

int64_t Length(const Tensor& x) { return x.shape()[-1]; }
int64_t Rows(const Tensor& x) { return x.elements() / Length(x); }

// The threads that have a row: kThreads of them.
template <int kThreads>
struct Team {
  __device__ Team()
      : row(kThreads == cuda::kWarp ? cuda::GlobalThread() / cuda::kWarp : int64_t{blockIdx.x}),
        thread(static_cast<int>(threadIdx.x) % kThreads) {}

  // Calls f(i) for the kN elements from i on, for all that are this thread's.
  template <int kN, typename F>
  __device__ void ForEach(int64_t n, const F& f) const {
    for (int64_t i = int64_t{thread} * kN; i < n; i += kThreads * kN) f(i);
  }
  __device__ static double Sum(double value) {
    if constexpr (kThreads == cuda::kWarp) return cuda::WarpReduce(value, cuda::Plus());
    return cuda::BlockReduce(value, cuda::Plus());
  }

  int64_t row;
  int thread;
};

template <typename K, int kN, typename A>
__device__ void StoreAs(K* to, const A (&values)[kN]) {
  cuda::Packed<K, kN> packed;
  for (int i = 0; i < kN; ++i) {
    if constexpr (std::is_same_v<A, Wide<K>>) {
      packed.element[i] = cuda::Narrow<K>(values[i]);
    } else {
      packed.element[i] = static_cast<K>(values[i]);
    }
  }
  *reinterpret_cast<cuda::Packed<K, kN>*>(to) = packed;
}

// (x - mean) * inv_std, computed from x, or as it was kept.
template <typename T>
struct Normalised {
  using A = Wide<T>;

  template <int kN>
  __device__ void Load(int64_t row, int64_t column, A (&z)[kN]) const {
    const int64_t at = row * n + column;
    if (x != nullptr) {
      const A pivot = mean[2 * row], rest = mean[2 * row + 1], inverse = inv_std[row];
      cuda::LoadPacked<kN>(x + at, z);
      for (int i = 0; i < kN; ++i) z[i] = ((z[i] - pivot) - rest) * inverse;
    } else if (keep == DType::kF32) {
      cuda::LoadPacked<kN>(static_cast<const float*>(kept) + at, z);
    } else if (keep == DType::kF16) {
      cuda::LoadPacked<kN>(static_cast<const half*>(kept) + at, z);
    } else {
      cuda::LoadPacked<kN>(static_cast<const bfloat16*>(kept) + at, z);
    }
  }

  int64_t n;
  const T* x;
  const A *mean, *inv_std;
  const void* kept;
  DType keep;
};

template <int kN, typename A>
__device__ void Keep(const A (&z)[kN], DType keep, int64_t at, void* to) {
  if (keep == DType::kF32) {
    StoreAs<float>(static_cast<float*>(to) + at, z);
  } else if (keep == DType::kF16) {
    StoreAs<half>(static_cast<half*>(to) + at, z);
  } else {
    StoreAs<bfloat16>(static_cast<bfloat16*>(to) + at, z);
  }
}

template <typename T>
struct ForwardArrays {
  using A = Wide<T>;
  const T* x;
  const A *gamma, *beta;
  T* y;
  A *mean, *inv_std;
  void* kept;  // null: none
  DType keep;
};

template <typename T, int kN, int kTeam>
__global__ void ForwardKernel(int64_t rows, int64_t n, double eps, ForwardArrays<T> arrays) {
  using A = Wide<T>;
  const Team<kTeam> team;
  if (team.row >= rows) return;
  const T* x = arrays.x + team.row * n;
  A values[kN];

  A sum = 0;
  team.template ForEach<kN>(n, [&](int64_t i) {
    cuda::LoadPacked<kN>(x + i, values);
    for (int k = 0; k < kN; ++k) sum += values[k];
  });
  const A pivot = static_cast<A>(team.Sum(sum) / n);

  // The pivot is near enough to the mean for its distance to be found, and taken off the squares, exactly.
  sum = 0;
  A squares = 0;
  team.template ForEach<kN>(n, [&](int64_t i) {
    cuda::LoadPacked<kN>(x + i, values);
    for (int k = 0; k < kN; ++k) {
      const A apart = values[k] - pivot;
      sum += apart;
      squares += apart * apart;
    }
  });
  const double distance = team.Sum(sum) / n, variance = team.Sum(squares) / n - distance * distance;
  const A rest = static_cast<A>(distance);
  // Rounding may leave a little less than nothing (a NaN stays).
  const A inverse = static_cast<A>(1 / std::sqrt((variance < 0 ? 0 : variance) + eps));
  if (team.thread == 0) {
    arrays.mean[2 * team.row] = pivot;
    arrays.mean[2 * team.row + 1] = rest;
    arrays.inv_std[team.row] = inverse;
  }

  team.template ForEach<kN>(n, [&](int64_t i) {
    const int64_t at = team.row * n + i;
    A gamma[kN], beta[kN];
    cuda::LoadPacked<kN>(arrays.gamma + i, gamma);
    cuda::LoadPacked<kN>(arrays.beta + i, beta);
    cuda::LoadPacked<kN>(x + i, values);
    for (int k = 0; k < kN; ++k) values[k] = ((values[k] - pivot) - rest) * inverse;
    if (arrays.kept != nullptr) Keep(values, arrays.keep, at, arrays.kept);
    for (int k = 0; k < kN; ++k) values[k] = values[k] * gamma[k] + beta[k];
    cuda::StorePacked<kN>(arrays.y + at, values);
  });
}

// With g = dy * gamma:  dx = inv_std * (g - mean(g) - z * mean(g * z)).
template <typename T, int kN, int kTeam>
__global__ void InputGradientKernel(int64_t rows, Normalised<T> normalised, const T* dy, const Wide<T>* gamma,
                                    T* dx) {
  using A = Wide<T>;
  const Team<kTeam> team;
  if (team.row >= rows) return;
  const int64_t n = normalised.n, first = team.row * n;
  const A inverse = normalised.inv_std[team.row];
  A z[kN], g[kN], factor[kN];
  const auto load = [&](int64_t i) {
    normalised.template Load<kN>(team.row, i, z);
    cuda::LoadPacked<kN>(dy + first + i, g);
    cuda::LoadPacked<kN>(gamma + i, factor);
    for (int k = 0; k < kN; ++k) g[k] *= factor[k];
  };
  A sum = 0, products = 0;
  team.template ForEach<kN>(n, [&](int64_t i) {
    load(i);
    for (int k = 0; k < kN; ++k) {
      sum += g[k];
      products += g[k] * z[k];
    }
  });
  const A mean_g = static_cast<A>(team.Sum(sum) / n), mean_gz = static_cast<A>(team.Sum(products) / n);
  team.template ForEach<kN>(n, [&](int64_t i) {
    load(i);
    for (int k = 0; k < kN; ++k) g[k] = ((g[k] - mean_g) - z[k] * mean_gz) * inverse;
    cuda::StorePacked<kN>(dx + first + i, g);
  });
}

// Of dy * z, and of dy.
template <typename T, int kN>
struct ParameterGradients {
  using Sum = Wide<T>;
  static constexpr int kColumns = kN, kSums = 2;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Terms(int64_t row, Sum (&terms)[2][kN]) {
    normalised.template Load<kN>(row, column, terms[0]);
    cuda::LoadPacked<kN>(dy + row * normalised.n + column, terms[1]);
    for (int k = 0; k < kN; ++k) terms[0][k] *= terms[1][k];
  }

  Normalised<T> normalised;
  const T* dy;
  int64_t column = 0;
};

// Calls f(kernel, grid): that of `warp` or `block`, whichever suits rows of n.
template <typename Kernel, typename F>
void Choose(int64_t rows, int64_t n, Kernel warp, Kernel block, const F& f) {
  constexpr int64_t kRowsOfABlock = cuda::kThreads / cuda::kWarp;
  if (n <= kLongestOfAWarp) return f(warp, cuda::Grid{.blocks = (rows + kRowsOfABlock - 1) / kRowsOfABlock});
  f(block, cuda::Grid{.blocks = rows});
}

template <typename T, int kN>
void ForwardOf(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
               LayerNormResult& result) {
  using A = Wide<T>;
  const ForwardArrays<T> arrays = {.x = x.device_data<T>(),
                                   .gamma = gamma.device_data<A>(),
                                   .beta = beta.device_data<A>(),
                                   .y = result.y.device_data<T>(),
                                   .mean = result.mean.device_data<A>(),
                                   .inv_std = result.inv_std.device_data<A>(),
                                   .kept = result.normalised.device_raw(),
                                   .keep = result.normalised.dtype()};
  Choose(Rows(x), Length(x), ForwardKernel<T, kN, cuda::kWarp>, ForwardKernel<T, kN, cuda::kThreads>,
         [&](auto kernel, cuda::Grid grid) {
           cuda::Launch(x.device(), grid, kernel, Rows(x), Length(x), eps, arrays);
         });
}

template <typename T, int kN>
void BackwardOf(const Tensor& x, const Tensor& mean, const Tensor& kept, const Tensor& gamma,
                const Tensor& inv_std, const Tensor& dy, LayerNormGradients& gradients) {
  using A = Wide<T>;
  const int64_t rows = Rows(dy), n = Length(dy);
  const Normalised<T> normalised = {.n = n,
                                    .x = x.defined() ? x.device_data<T>() : nullptr,
                                    .mean = mean.defined() ? mean.device_data<A>() : nullptr,
                                    .inv_std = inv_std.device_data<A>(),
                                    .kept = kept.device_raw(),
                                    .keep = kept.dtype()};
  const T* dys = dy.device_data<T>();
  Choose(rows, n, InputGradientKernel<T, kN, cuda::kWarp>, InputGradientKernel<T, kN, cuda::kThreads>,
         [&](auto kernel, cuda::Grid grid) {
           cuda::Launch(dy.device(), grid, kernel, rows, normalised, dys, gamma.device_data<A>(),
                        gradients.dx.device_data<T>());
         });
  A *dgamma = gradients.dgamma.device_data<A>(), *dbeta = gradients.dbeta.device_data<A>();
  const auto finish = [=] __device__(int64_t column, const double(&sums)[2]) {
    dgamma[column] = static_cast<A>(sums[0]);
    dbeta[column] = static_cast<A>(sums[1]);
  };
  cuda::SumColumns(dy.device(), rows, n, ParameterGradients<T, kN>{normalised, dys}, finish);
}

}  // namespace

const LayerNormKernels kLayerNormKernels = {
    .forward =
        [](const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, LayerNormResult& result) {
          cuda::VisitPacked(x.dtype(), Length(x), [&](auto type, auto packed) {
            ForwardOf<decltype(type), decltype(packed)::value>(x, gamma, beta, eps, result);
          });
        },
    .backward =
        [](const Tensor& x, const Tensor& mean, const Tensor& normalised, const Tensor& gamma,
           const Tensor& inv_std, const Tensor& dy, LayerNormGradients& gradients) {
          cuda::VisitPacked(dy.dtype(), Length(dy), [&](auto type, auto packed) {
            BackwardOf<decltype(type), decltype(packed)::value>(x, mean, normalised, gamma, inv_std, dy,
                                                                gradients);
          });
        },
};

}  // namespace halftone::ops
