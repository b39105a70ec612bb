#include <utility>

#include "tensor/cuda/columns.cuh"
#include "tensor/ops/batch_norm/batch_norm_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

// The matrix [rows, C] of x.
int64_t Channels(const Tensor& x) { return x.shape()[-1]; }
int64_t Rows(const Tensor& x) { return x.elements() / Channels(x); }

// Moments of kN channels, of what is left of x when a pivot is taken off: the pivot is a value of the
// channel, so what is left is about as large as x deviates, however far from zero x is.
template <typename T, int kN>
struct MomentsBody {
  using A = Wide<T>;
  static constexpr int kColumns = kN;
  struct State {
    A rows, mean[kN], squares[kN];  // squares: of the distances from the mean, summed
  };

  __device__ void Begin(int64_t first_column, int64_t first_row) {
    column = first_column;
    cuda::LoadPacked<kN>(x + first_row * channels + column, pivot);
  }
  __device__ void Load(int64_t row, A (&values)[kN]) {
    cuda::LoadPacked<kN>(x + row * channels + column, values);
    for (int c = 0; c < kN; ++c) values[c] -= pivot[c];
  }
  __device__ void Add(int64_t row, int lanes, State& state) {
    A values[cuda::kRowsAtATime][kN];
    for (int r = 0; r < cuda::kRowsAtATime; ++r) Load(row + r * lanes, values[r]);
    State four = {.rows = 4};
    for (int c = 0; c < kN; ++c) {
      four.mean[c] = ((values[0][c] + values[1][c]) + (values[2][c] + values[3][c])) * A(0.25);
      for (int r = 0; r < cuda::kRowsAtATime; ++r) values[r][c] -= four.mean[c];
      four.squares[c] = (values[0][c] * values[0][c] + values[1][c] * values[1][c]) +
                        (values[2][c] * values[2][c] + values[3][c] * values[3][c]);
    }
    Merge(four, state);
  }
  __device__ void AddOne(int64_t row, State& state) {
    State one = {.rows = 1};
    Load(row, one.mean);
    Merge(one, state);
  }
  __device__ void Merge(const State& other, State& state) {
    if (other.rows == 0) return;
    const A rows = state.rows + other.rows, share = other.rows / rows;
    for (int c = 0; c < kN; ++c) {
      const A apart = other.mean[c] - state.mean[c];
      state.mean[c] += apart * share;
      state.squares[c] += other.squares[c] + apart * apart * (state.rows * share);
    }
    state.rows = rows;
  }
  __device__ void Write(int64_t slice, int64_t, const State& state) {
    for (int c = 0; c < kN; ++c) {
      double* to = partial + ((column + c) * slices + slice) * 3;
      to[0] = state.rows;
      to[1] = static_cast<double>(pivot[c]) + state.mean[c];
      to[2] = state.squares[c];
    }
  }

  const T* x;
  int64_t channels;
  double* partial;  // [C, slices, 3]
  int64_t slices;
  int64_t column = 0;
  A pivot[kN] = {};
};

// S: the dtype of the statistics.
template <typename S>
struct StatisticsBody {
  static constexpr int kValues = 3;

  __device__ void Load(int64_t column, int64_t slice, double (&values)[3]) {
    for (int i = 0; i < 3; ++i) values[i] = partial[(column * slices + slice) * 3 + i];
  }
  __device__ void Merge(const double (&other)[3], double (&values)[3]) {
    if (other[0] == 0) return;
    const double rows = values[0] + other[0], share = other[0] / rows, apart = other[1] - values[1];
    values[1] += apart * share;
    values[2] += other[2] + apart * apart * (values[0] * share);
    values[0] = rows;
  }
  __device__ void Finish(int64_t column, const double (&values)[3]) {
    const double variance = values[2] / values[0], unbiased = values[2] / (values[0] - 1);
    mean[column] = static_cast<S>(values[1]);
    inv_std[column] = static_cast<S>(1 / std::sqrt(variance + eps));
    running_mean[column] = Moved(running_mean[column], values[1]);
    running_var[column] = Moved(running_var[column], unbiased);
  }
  __device__ S Moved(double running, double batch) const {
    return static_cast<S>(running + momentum * (batch - running));
  }

  const double* partial;
  int64_t slices;
  double eps, momentum;
  S *mean, *inv_std, *running_mean, *running_var;
};

// (x - mean) * scale + shift of kN channels, with the bits that the host has.
template <typename S, int kN>
struct Affine {
  __device__ void Begin(int64_t column) {
    S gammas[kN], inverses[kN];
    cuda::LoadPacked<kN>(mean_of + column, mean);
    cuda::LoadPacked<kN>(inv_std_of + column, inverses);
    cuda::LoadPacked<kN>(gamma_of + column, gammas);
    cuda::LoadPacked<kN>(beta_of + column, shift);
    for (int c = 0; c < kN; ++c) scale[c] = gammas[c] * inverses[c];
  }
  __device__ S operator()(S x, int c) const { return (x - mean[c]) * scale[c] + shift[c]; }

  const S *mean_of, *inv_std_of, *gamma_of, *beta_of;
  S mean[kN] = {}, scale[kN] = {}, shift[kN] = {};
};

template <typename A>
__device__ A Activated(BatchNormActivation activation, A value) {
  if (activation == BatchNormActivation::kNone) return value;
  if (value <= 0) return 0;
  return activation == BatchNormActivation::kRelu6 && value >= 6 ? A(6) : value;
}

// g, or 0 where the activation of `value` has no slope.
template <typename A>
__device__ A Passed(BatchNormActivation activation, A value, A g) {
  if (activation == BatchNormActivation::kNone) return g;
  return value <= 0 || (activation == BatchNormActivation::kRelu6 && value >= 6) ? A(0) : g;
}

template <typename T, int kN>
struct NormaliseBody {
  using A = Wide<T>;
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) {
    column = first;
    affine.Begin(column);
  }
  __device__ void Row(int64_t row) {
    const int64_t at = row * channels + column;
    A values[kN], add[kN] = {};
    cuda::LoadPacked<kN>(x + at, values);
    if (residual != nullptr) cuda::LoadPacked<kN>(residual + at, add);
    for (int c = 0; c < kN; ++c) {
      A value = affine(values[c], c);
      if (residual != nullptr) value += add[c];
      values[c] = Activated(activation, value);
    }
    cuda::StorePacked<kN>(y + at, values);
  }

  const T *x, *residual;
  T* y;
  int64_t channels;
  BatchNormActivation activation;
  Affine<A, kN> affine;
  int64_t column = 0;
};

// Sums of g = what the activation let through of dy, and of g * (x - mean).
template <typename T, int kN>
struct GradientSums {
  using Sum = Wide<T>;
  static constexpr int kColumns = kN, kSums = 2;

  __device__ void Begin(int64_t first) {
    column = first;
    affine.Begin(column);
  }
  __device__ void Terms(int64_t row, Sum (&terms)[2][kN]) {
    const int64_t at = row * channels + column;
    Sum xs[kN], ys[kN] = {};
    cuda::LoadPacked<kN>(x + at, xs);
    cuda::LoadPacked<kN>(dy + at, terms[0]);
    if (y != nullptr) cuda::LoadPacked<kN>(y + at, ys);
    for (int c = 0; c < kN; ++c) {
      terms[0][c] = Passed(activation, y != nullptr ? ys[c] : affine(xs[c], c), terms[0][c]);
      terms[1][c] = terms[0][c] * (xs[c] - affine.mean[c]);
    }
    if (passed != nullptr) cuda::StorePacked<kN>(passed + at, terms[0]);
  }

  const T *x, *dy, *y;  // y: after a residual, else null
  T* passed;            // likewise
  int64_t channels;
  BatchNormActivation activation;
  Affine<Sum, kN> affine;
  int64_t column = 0;
};

// dx = (g - mean_g) * scale - (x - mean) * slope.
template <typename T, int kN>
struct InputGradientBody {
  using A = Wide<T>;
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) {
    column = first;
    affine.Begin(column);
    cuda::LoadPacked<kN>(coefficients + column, mean_g);
    cuda::LoadPacked<kN>(coefficients + padded_channels + column, slope);
  }
  __device__ void Row(int64_t row) {
    const int64_t at = row * channels + column;
    A xs[kN], gs[kN];
    cuda::LoadPacked<kN>(x + at, xs);
    cuda::LoadPacked<kN>(dy + at, gs);
    for (int c = 0; c < kN; ++c) {
      const A g = Passed(activation, affine(xs[c], c), gs[c]);
      gs[c] = (g - mean_g[c]) * affine.scale[c] - (xs[c] - affine.mean[c]) * slope[c];
    }
    cuda::StorePacked<kN>(dx + at, gs);
  }

  const T *x, *dy;
  T* dx;
  const A* coefficients;  // of each channel mean_g, and in a second row slope
  int64_t channels, padded_channels;
  BatchNormActivation activation;
  Affine<A, kN> affine;
  int64_t column = 0;
  A mean_g[kN] = {}, slope[kN] = {};
};

template <typename T, int kN>
Affine<Wide<T>, kN> AffineOf(const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                             const Tensor& inv_std) {
  using S = Wide<T>;
  return {mean.device_data<S>(), inv_std.device_data<S>(), gamma.device_data<S>(), beta.device_data<S>()};
}

template <typename T>
const T* OrNull(const Tensor& t) {
  return t.defined() ? t.device_data<T>() : nullptr;
}

template <typename T, int kN>
void Normalise(const Tensor& x, const Tensor& residual, BatchNormActivation activation,
               const Affine<Wide<T>, kN>& affine, Tensor& y) {
  cuda::ForColumns(x.device(), Rows(x), Channels(x),
                   NormaliseBody<T, kN>{.x = x.device_data<T>(),
                                        .residual = OrNull<T>(residual),
                                        .y = y.device_data<T>(),
                                        .channels = Channels(x),
                                        .activation = activation,
                                        .affine = affine});
}

template <typename T, int kN>
void ForwardOf(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor& running_mean,
               Tensor& running_var, const BatchNormOptions& options, const Tensor& residual,
               BatchNormResult& result) {
  using S = Wide<T>;
  Device& device = x.device();
  const int64_t rows = Rows(x), channels = Channels(x);
  const auto grid = cuda::ColumnGrid::Of(rows, channels, kN, cuda::kMostReducingBlocks);
  Tensor partial = Tensor::Empty(device, DType::kF64, {channels, grid.slices, 3});
  cuda::Launch(device, grid.blocks(), cuda::ReduceColumnsKernel<MomentsBody<T, kN>>, grid,
               MomentsBody<T, kN>{.x = x.device_data<T>(),
                                  .channels = channels,
                                  .partial = partial.device_data<double>(),
                                  .slices = grid.slices});
  cuda::MergeSlices(device, channels, grid.slices,
                    StatisticsBody<S>{.partial = partial.device_data<double>(),
                                      .slices = grid.slices,
                                      .eps = options.eps,
                                      .momentum = options.momentum,
                                      .mean = result.mean.device_data<S>(),
                                      .inv_std = result.inv_std.device_data<S>(),
                                      .running_mean = running_mean.device_data<S>(),
                                      .running_var = running_var.device_data<S>()});
  // From the rounded statistics, so that forward and backward agree on the sign of every element.
  Normalise<T, kN>(x, residual, options.activation, AffineOf<T, kN>(gamma, beta, result.mean, result.inv_std),
                   result.y);
}

template <typename S>
void InverseDeviations(const Tensor& variance, double eps, Tensor& inv_std) {
  const S* from = variance.device_data<S>();
  S* to = inv_std.device_data<S>();
  cuda::ForEach(variance.device(), variance.elements(),
                [=] __device__(int64_t c) { to[c] = static_cast<S>(1 / std::sqrt(double{from[c]} + eps)); });
}

template <typename T, int kN>
void InferenceOf(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
                 const Tensor& running_var, const BatchNormOptions& options, const Tensor& residual,
                 Tensor& y) {
  Tensor inv_std = Tensor::Empty(x.device(), running_var.dtype(), running_var.shape());
  InverseDeviations<Wide<T>>(running_var, options.eps, inv_std);
  Normalise<T, kN>(x, residual, options.activation, AffineOf<T, kN>(gamma, beta, running_mean, inv_std), y);
}

template <typename T, int kN>
void BackwardOf(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                const Tensor& inv_std, const Tensor& dy, BatchNormActivation activation,
                const Tensor& residual_y, BatchNormGradients& gradients) {
  using S = Wide<T>;
  Device& device = x.device();
  const int64_t rows = Rows(x), channels = Channels(x);
  const Affine<S, kN> affine = AffineOf<T, kN>(gamma, beta, mean, inv_std);
  const int64_t padded_channels = (channels + 7) / 8 * 8;  // the second row begins where a packed load may
  Tensor coefficients = Tensor::Empty(device, mean.dtype(), {2, padded_channels});

  // With z = (x - mean) * inv_std:  dx = gamma * inv_std * (dy - mean(dy) - z * mean(dy * z)).
  const S *gammas = gamma.device_data<S>(), *inverses = inv_std.device_data<S>();
  S *to_mean = coefficients.device_data<S>(), *to_slope = to_mean + padded_channels;
  S *dgamma = gradients.dgamma.device_data<S>(), *dbeta = gradients.dbeta.device_data<S>();
  const auto finish = [=] __device__(int64_t c, const double(&sums)[2]) {
    const double inverse = inverses[c];
    dbeta[c] = static_cast<S>(sums[0]);
    dgamma[c] = static_cast<S>(sums[1] * inverse);
    to_mean[c] = static_cast<S>(sums[0] / rows);
    to_slope[c] = static_cast<S>(gammas[c] * inverse * inverse * inverse * sums[1] / rows);
  };
  const bool writes = gradients.dresidual.defined();
  cuda::SumColumns(device, rows, channels,
                   GradientSums<T, kN>{.x = x.device_data<T>(),
                                       .dy = dy.device_data<T>(),
                                       .y = OrNull<T>(residual_y),
                                       .passed = writes ? gradients.dresidual.device_data<T>() : nullptr,
                                       .channels = channels,
                                       .activation = activation,
                                       .affine = affine},
                   finish);
  cuda::ForColumns(
      device, rows, channels,
      InputGradientBody<T, kN>{.x = x.device_data<T>(),
                               .dy = (writes ? gradients.dresidual : dy).template device_data<T>(),
                               .dx = gradients.dx.device_data<T>(),
                               .coefficients = coefficients.device_data<S>(),
                               .channels = channels,
                               .padded_channels = padded_channels,
                               .activation = writes ? BatchNormActivation::kNone : activation,
                               .affine = affine});
}

// One block.
template <typename S>
__global__ void KeepRunningKernel(int64_t channels, const S* moved_mean, const S* moved_var, S* running_mean,
                                  S* running_var, int64_t* batches) {
  int not_finite = 0;
  for (int64_t c = threadIdx.x; c < channels; c += blockDim.x) {
    not_finite |= moved_mean[c] - moved_mean[c] != 0 || moved_var[c] - moved_var[c] != 0;
  }
  if (cuda::BlockReduce(not_finite, cuda::Maximum()) != 0) return;
  for (int64_t c = threadIdx.x; c < channels; c += blockDim.x) {
    running_mean[c] = moved_mean[c];
    running_var[c] = moved_var[c];
  }
  if (threadIdx.x == 0) ++*batches;
}

template <typename S>
void KeepRunningOf(const Tensor& moved_mean, const Tensor& moved_var, Tensor& running_mean,
                   Tensor& running_var, Tensor& batches) {
  cuda::Launch(moved_mean.device(), {.blocks = 1}, KeepRunningKernel<S>, moved_mean.elements(),
               moved_mean.device_data<S>(), moved_var.device_data<S>(), running_mean.device_data<S>(),
               running_var.device_data<S>(), batches.device_data<int64_t>());
}

void KeepRunning(const Tensor& moved_mean, const Tensor& moved_var, Tensor& running_mean, Tensor& running_var,
                 Tensor& batches) {
  auto* const keep = moved_mean.dtype() == DType::kF64 ? KeepRunningOf<double> : KeepRunningOf<float>;
  keep(moved_mean, moved_var, running_mean, running_var, batches);
}

}  // namespace

const BatchNormKernels kBatchNormKernels = {
    .forward =
        [](const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor& running_mean,
           Tensor& running_var, const BatchNormOptions& options, const Tensor& residual,
           BatchNormResult& result) {
          cuda::VisitPacked(x.dtype(), Channels(x), [&](auto type, auto packed) {
            ForwardOf<decltype(type), decltype(packed)::value>(x, gamma, beta, running_mean, running_var,
                                                               options, residual, result);
          });
        },
    .keep_running = KeepRunning,
    .inference =
        [](const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& running_mean,
           const Tensor& running_var, const BatchNormOptions& options, const Tensor& residual, Tensor& y) {
          cuda::VisitPacked(x.dtype(), Channels(x), [&](auto type, auto packed) {
            InferenceOf<decltype(type), decltype(packed)::value>(x, gamma, beta, running_mean, running_var,
                                                                 options, residual, y);
          });
        },
    .backward =
        [](const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
           const Tensor& inv_std, const Tensor& dy, BatchNormActivation activation, const Tensor& residual_y,
           BatchNormGradients& gradients) {
          cuda::VisitPacked(x.dtype(), Channels(x), [&](auto type, auto packed) {
            BackwardOf<decltype(type), decltype(packed)::value>(x, gamma, beta, mean, inv_std, dy, activation,
                                                                residual_y, gradients);
          });
        },
};

}  // namespace halftone::ops
