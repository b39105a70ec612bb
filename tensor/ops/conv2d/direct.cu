#include "tensor/cuda/columns.cuh"
#include "tensor/cuda/pixels.cuh"
#include "tensor/ops/conv2d/direct_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

// Channels that a thread has of a depthwise convolution.
constexpr int kChannels = 4;
// Taps of a filter whose gradients are summed in one pass over the images.
constexpr int kTaps = 3;

// Row or column that tap `tap` of output `out` reads.
__device__ int64_t Input(const Conv2dProblem& p, int64_t out, int64_t tap) {
  return out * p.stride + tap - p.padding;
}

// The output whose tap `tap` reads row or column `in`; -1 for none of `outputs`.
__device__ int64_t Output(const Conv2dProblem& p, int64_t in, int64_t tap, int64_t outputs) {
  const int64_t from = in + p.padding - tap;
  if (from < 0 || from % p.stride != 0) return -1;
  return from / p.stride < outputs ? from / p.stride : -1;
}

__device__ bool Inside(int64_t i, int64_t size) { return i >= 0 && i < size; }

// The filters of kN channels at one tap; those of a channel lie one after the other.
template <int kN, typename T>
__device__ void LoadTap(const T* w, int64_t column, int64_t taps, int64_t tap, Wide<T> (&to)[kN]) {
  for (int c = 0; c < kN; ++c) to[c] = cuda::Load(w + (column + c) * taps + tap);
}

template <typename T, typename R, int kN>
struct DepthwiseForward {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Row(int64_t row) {
    const auto at = cuda::Pixel::Of(row, p.out_h, p.out_w);
    Wide<T> sums[kN] = {}, xs[kN], ws[kN];
    for (int64_t a = 0; a < p.kh; ++a) {
      const int64_t h = Input(p, at.row, a);
      if (!Inside(h, p.h)) continue;
      for (int64_t b = 0; b < p.kw; ++b) {
        const int64_t column_x = Input(p, at.column, b);
        if (!Inside(column_x, p.w)) continue;
        cuda::LoadPacked<kN>(x + ((at.n * p.h + h) * p.w + column_x) * p.c + column, xs);
        LoadTap(w, column, p.kh * p.kw, a * p.kw + b, ws);
        for (int c = 0; c < kN; ++c) sums[c] = std::fma(xs[c], ws[c], sums[c]);
      }
    }
    cuda::StorePacked<kN>(y + row * p.c + column, sums);
  }

  Conv2dProblem p;
  const T *x, *w;
  R* y;
  int64_t column = 0;
};

template <typename T, typename R, int kN>
struct DepthwiseBackwardData {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Row(int64_t row) {
    const auto at = cuda::Pixel::Of(row, p.h, p.w);
    Wide<T> sums[kN] = {}, dys[kN], ws[kN];
    for (int64_t a = 0; a < p.kh; ++a) {
      const int64_t i = Output(p, at.row, a, p.out_h);
      if (i < 0) continue;
      for (int64_t b = 0; b < p.kw; ++b) {
        const int64_t j = Output(p, at.column, b, p.out_w);
        if (j < 0) continue;
        cuda::LoadPacked<kN>(dy + ((at.n * p.out_h + i) * p.out_w + j) * p.c + column, dys);
        LoadTap(w, column, p.kh * p.kw, a * p.kw + b, ws);
        for (int c = 0; c < kN; ++c) sums[c] = std::fma(dys[c], ws[c], sums[c]);
      }
    }
    cuda::StorePacked<kN>(dx + row * p.c + column, sums);
  }

  Conv2dProblem p;
  const T *dy, *w;
  R* dx;
  int64_t column = 0;
};

// Of taps first_tap, first_tap + 1, ...: zeros where there is none.
template <typename T, int kN>
struct DepthwiseTapSums {
  using Sum = Wide<T>;
  static constexpr int kColumns = kN, kSums = kTaps;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Terms(int64_t row, Sum (&terms)[kTaps][kN]) {
    const auto at = cuda::Pixel::Of(row, p.out_h, p.out_w);
    Sum dys[kN];
    cuda::LoadPacked<kN>(dy + row * p.c + column, dys);
    for (int t = 0; t < kTaps; ++t) {
      const int64_t a = (first_tap + t) / p.kw, h = Input(p, at.row, a);
      const int64_t w = Input(p, at.column, first_tap + t - a * p.kw);
      if (a < p.kh && Inside(h, p.h) && Inside(w, p.w)) {
        cuda::LoadPacked<kN>(x + ((at.n * p.h + h) * p.w + w) * p.c + column, terms[t]);
        for (int c = 0; c < kN; ++c) terms[t][c] *= dys[c];
      } else {
        for (int c = 0; c < kN; ++c) terms[t][c] = 0;
      }
    }
  }

  Conv2dProblem p;
  const T *x, *dy;
  int64_t first_tap;
  int64_t column = 0;
};

// An element of y a thread: any groups.
template <typename T, typename R>
void AnyForward(const Conv2dProblem& p, const T* x, const T* w, R* y, const Device& device) {
  cuda::ForEach(device, p.n * p.out_h * p.out_w * p.o, [=] __device__(int64_t index) {
    const int64_t o = index % p.o, group_c = p.c / p.groups, first_c = o / (p.o / p.groups) * group_c;
    const auto at = cuda::Pixel::Of(index / p.o, p.out_h, p.out_w);
    Wide<T> sum = 0;
    for (int64_t a = 0; a < p.kh; ++a) {
      for (int64_t b = 0; b < p.kw; ++b) {
        const int64_t h = Input(p, at.row, a), column = Input(p, at.column, b);
        if (!Inside(h, p.h) || !Inside(column, p.w)) continue;
        const T* xs = x + ((at.n * p.h + h) * p.w + column) * p.c + first_c;
        const T* ws = w + (o * group_c * p.kh + a) * p.kw + b;
        for (int64_t c = 0; c < group_c; ++c) {
          sum = std::fma(cuda::Load(xs + c), cuda::Load(ws + c * p.kh * p.kw), sum);
        }
      }
    }
    cuda::Store(y + index, sum);
  });
}

template <typename T, typename R>
void AnyBackwardData(const Conv2dProblem& p, const T* dy, const T* w, R* dx, const Device& device) {
  cuda::ForEach(device, p.n * p.h * p.w * p.c, [=] __device__(int64_t index) {
    const int64_t c = index % p.c, group_c = p.c / p.groups, group_o = p.o / p.groups,
                  first_o = c / group_c * group_o;
    const auto at = cuda::Pixel::Of(index / p.c, p.h, p.w);
    Wide<T> sum = 0;
    for (int64_t a = 0; a < p.kh; ++a) {
      for (int64_t b = 0; b < p.kw; ++b) {
        const int64_t i = Output(p, at.row, a, p.out_h), j = Output(p, at.column, b, p.out_w);
        if (i < 0 || j < 0) continue;
        const T* dys = dy + ((at.n * p.out_h + i) * p.out_w + j) * p.o + first_o;
        const T* ws = w + ((first_o * group_c + c % group_c) * p.kh + a) * p.kw + b;
        for (int64_t o = 0; o < group_o; ++o) {
          sum = std::fma(cuda::Load(dys + o), cuda::Load(ws + o * group_c * p.kh * p.kw), sum);
        }
      }
    }
    cuda::Store(dx + index, sum);
  });
}

// A weight a block.
template <typename T>
__global__ void AnyBackwardWeightsKernel(Conv2dProblem p, const T* x, const T* dy, Wide<T>* dw) {
  const int64_t group_c = p.c / p.groups, weight = blockIdx.x;
  const int64_t b = weight % p.kw, a = weight / p.kw % p.kh, in_group = weight / (p.kw * p.kh) % group_c;
  const int64_t o = weight / (p.kw * p.kh * group_c), c = o / (p.o / p.groups) * group_c + in_group;
  Wide<T> sum = 0;
  for (int64_t row = threadIdx.x; row < p.n * p.out_h * p.out_w; row += blockDim.x) {
    const auto at = cuda::Pixel::Of(row, p.out_h, p.out_w);
    const int64_t h = Input(p, at.row, a), column = Input(p, at.column, b);
    if (!Inside(h, p.h) || !Inside(column, p.w)) continue;
    sum = std::fma(cuda::Load(x + ((at.n * p.h + h) * p.w + column) * p.c + c),
                   cuda::Load(dy + row * p.o + o), sum);
  }
  sum = cuda::BlockReduce(sum, cuda::Plus());
  if (threadIdx.x == 0) dw[weight] = sum;
}

// From [O, first, second] to [O, second, first].
template <typename T>
void Swap(const Tensor& w, int64_t first, int64_t second, Tensor& to) {
  const T* from = w.device_data<T>();
  T* into = to.device_data<T>();
  cuda::ForEach(w.device(), w.elements(), [=] __device__(int64_t index) {
    const int64_t i = index % first, j = index / first % second, o = index / (first * second);
    into[index] = from[(o * first + i) * second + j];
  });
}

// Calls f(T(), R(), std::integral_constant<int, kN>) for the dtypes of the inputs and of the result.
template <typename F>
void Visit(const Tensor& in, const Tensor& out, const F& f) {
  VisitFloat(in.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto packed) {
      if (out.dtype() == in.dtype()) return f(type, T(), packed);
      f(type, Wide<T>(), packed);
    };
    if (in.shape()[-1] % kChannels == 0) return with(std::integral_constant<int, kChannels>());
    with(std::integral_constant<int, 1>());
  });
}

void Forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, Tensor& y) {
  Visit(x, y, [&](auto type, auto result, auto packed) {
    using T = decltype(type);
    using R = decltype(result);
    const T *xs = x.device_data<T>(), *ws = w.device_data<T>();
    R* ys = y.device_data<R>();
    if (!IsDepthwise(p)) return AnyForward(p, xs, ws, ys, x.device());
    cuda::ForColumns(x.device(), p.n * p.out_h * p.out_w, p.c,
                     DepthwiseForward<T, R, decltype(packed)::value>{p, xs, ws, ys});
  });
}

void BackwardData(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, Tensor& dx) {
  Visit(dy, dx, [&](auto type, auto result, auto packed) {
    using T = decltype(type);
    using R = decltype(result);
    const T *dys = dy.device_data<T>(), *ws = w.device_data<T>();
    R* dxs = dx.device_data<R>();
    if (!IsDepthwise(p)) return AnyBackwardData(p, dys, ws, dxs, dy.device());
    cuda::ForColumns(dy.device(), p.n * p.h * p.w, p.c,
                     DepthwiseBackwardData<T, R, decltype(packed)::value>{p, dys, ws, dxs});
  });
}

template <typename T, int kN>
void DepthwiseBackwardWeights(const Conv2dProblem& p, const Tensor& x, const Tensor& dy, Tensor& dw) {
  const int64_t taps = p.kh * p.kw;
  Wide<T>* to = dw.device_data<Wide<T>>();
  for (int64_t first = 0; first < taps; first += kTaps) {
    const auto finish = [=] __device__(int64_t c, const double(&sums)[kTaps]) {
      for (int t = 0; t < kTaps; ++t) {
        if (first + t < taps) to[c * taps + first + t] = static_cast<Wide<T>>(sums[t]);
      }
    };
    cuda::SumColumns(x.device(), p.n * p.out_h * p.out_w, p.c,
                     DepthwiseTapSums<T, kN>{p, x.device_data<T>(), dy.device_data<T>(), first}, finish);
  }
}

template <typename T>
void AnyBackwardWeights(const Conv2dProblem& p, const Tensor& x, const Tensor& dy, Tensor& dw) {
  cuda::Launch(x.device(), {.blocks = dw.elements(), .threads = 64}, AnyBackwardWeightsKernel<T>, p,
               x.device_data<T>(), dy.device_data<T>(), dw.device_data<Wide<T>>());
}

}  // namespace

const DirectConv2dKernels kDirectConv2dKernels = {
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights =
        [](const Conv2dProblem& p, const Tensor& x, const Tensor& dy, Tensor& dw) {
          VisitFloat(x.dtype(), [&](auto type) {
            using T = decltype(type);
            if (!IsDepthwise(p)) return AnyBackwardWeights<T>(p, x, dy, dw);
            if (p.c % kChannels == 0) return DepthwiseBackwardWeights<T, kChannels>(p, x, dy, dw);
            DepthwiseBackwardWeights<T, 1>(p, x, dy, dw);
          });
        },
    .channels_last =
        [](const Conv2dProblem& p, const Tensor& w, Tensor& to) {
          VisitFloat(w.dtype(), [&](auto type) { Swap<decltype(type)>(w, p.c / p.groups, p.kh * p.kw, to); });
        },
    .channels_first =
        [](const Conv2dProblem& p, const Tensor& w, Tensor& to) {
          VisitFloat(w.dtype(), [&](auto type) { Swap<decltype(type)>(w, p.kh * p.kw, p.c / p.groups, to); });
        },
};

}  // namespace halftone::ops
