#include "tensor/cuda/columns.cuh"
#include "tensor/cuda/pixels.cuh"
#include "tensor/ops/max_pool/max_pool_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

// A pixel of y, kN channels at a time.
template <typename T, int kN>
struct ForwardBody {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Row(int64_t row) {
    const auto at = cuda::Pixel::Of(row, p.out_h, p.out_w);
    const int64_t top = p.Start(at.row), left = p.Start(at.column);
    const int64_t first_h = p.First(at.row), first_w = p.First(at.column);
    cuda::Packed<T, kN> best = {};  // the elements themselves: a NaN keeps its bits
    cuda::Packed<uint8_t, kN> index = {};
    Wide<T> largest[kN] = {};
    for (int64_t h = first_h; h < p.Last(at.row, p.h); ++h) {
      for (int64_t w = first_w; w < p.Last(at.column, p.w); ++w) {
        const auto candidate =
            *reinterpret_cast<const cuda::Packed<T, kN>*>(x + ((at.n * p.h + h) * p.w + w) * p.c + column);
        const bool first = h == first_h && w == first_w;
        for (int c = 0; c < kN; ++c) {
          const Wide<T> value = cuda::Load(&candidate.element[c]);
          if (!first && !(value > largest[c]) && value == value) continue;
          best.element[c] = candidate.element[c];
          largest[c] = value;
          index.element[c] = static_cast<uint8_t>((h - top) * p.window + w - left);
        }
      }
    }
    *reinterpret_cast<cuda::Packed<T, kN>*>(y + row * p.c + column) = best;
    *reinterpret_cast<cuda::Packed<uint8_t, kN>*>(indices + row * p.c + column) = index;
  }

  MaxPoolProblem p;
  const T* x;
  T* y;
  uint8_t* indices;
  int64_t column = 0;
};

// A pixel of dx: what the windows that cover it hand to it, in their order.
template <typename T, int kN>
struct BackwardBody {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Row(int64_t row) {
    const auto at = cuda::Pixel::Of(row, p.h, p.w);
    Wide<T> sums[kN] = {}, gradients[kN];
    const int64_t last_h = Last(at.row, p.out_h), last_w = Last(at.column, p.out_w);
    for (int64_t oh = First(at.row); oh <= last_h; ++oh) {
      for (int64_t ow = First(at.column); ow <= last_w; ++ow) {
        const int64_t from = ((at.n * p.out_h + oh) * p.out_w + ow) * p.c + column;
        const auto index = *reinterpret_cast<const cuda::Packed<uint8_t, kN>*>(indices + from);
        const int64_t self = (at.row - p.Start(oh)) * p.window + at.column - p.Start(ow);
        cuda::LoadPacked<kN>(dy + from, gradients);
        for (int c = 0; c < kN; ++c) {
          if (index.element[c] == self) sums[c] += gradients[c];
        }
      }
    }
    cuda::StorePacked<kN>(dx + row * p.c + column, sums);
  }

  // The windows that cover row or column `i` of the image.
  __device__ int64_t First(int64_t i) const {
    const int64_t before = i + p.padding - p.window + 1;  // starts of windows are multiples of the stride
    return before <= 0 ? 0 : (before + p.stride - 1) / p.stride;
  }
  __device__ int64_t Last(int64_t i, int64_t windows) const {
    const int64_t last = (i + p.padding) / p.stride;
    return last < windows ? last : windows - 1;
  }

  MaxPoolProblem p;
  const T* dy;
  const uint8_t* indices;
  T* dx;
  int64_t column = 0;
};

template <typename T, int kN>
void ForwardOf(const MaxPoolProblem& p, const Tensor& x, Tensor& y, Tensor& index) {
  cuda::ForColumns(
      x.device(), p.n * p.out_h * p.out_w, p.c,
      ForwardBody<T, kN>{p, x.device_data<T>(), y.device_data<T>(), index.device_data<uint8_t>()});
}

template <typename T, int kN>
void BackwardOf(const MaxPoolProblem& p, const Tensor& dy, const Tensor& index, Tensor& dx) {
  cuda::ForColumns(
      dy.device(), p.n * p.h * p.w, p.c,
      BackwardBody<T, kN>{p, dy.device_data<T>(), index.device_data<uint8_t>(), dx.device_data<T>()});
}

}  // namespace

const MaxPoolKernels kMaxPoolKernels = {
    .forward =
        [](const MaxPoolProblem& p, const Tensor& x, Tensor& y, Tensor& index) {
          cuda::VisitPacked(p.dtype, p.c, [&](auto type, auto packed) {
            ForwardOf<decltype(type), decltype(packed)::value>(p, x, y, index);
          });
        },
    .backward =
        [](const MaxPoolProblem& p, const Tensor& dy, const Tensor& index, Tensor& dx) {
          cuda::VisitPacked(p.dtype, p.c, [&](auto type, auto packed) {
            BackwardOf<decltype(type), decltype(packed)::value>(p, dy, index, dx);
          });
        },
};

}  // namespace halftone::ops
