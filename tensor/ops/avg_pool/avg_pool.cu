// Sums in the order of the host's, so that they have its bits.
#include "tensor/cuda/columns.cuh"
#include "tensor/cuda/pixels.cuh"
#include "tensor/ops/avg_pool/avg_pool_kernels.h"

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
    const int64_t h0 = p.First(at.row, p.h, p.out_h), h1 = p.Last(at.row, p.h, p.out_h);
    const int64_t w0 = p.First(at.column, p.w, p.out_w), w1 = p.Last(at.column, p.w, p.out_w);
    Wide<T> sums[kN] = {}, values[kN];
    for (int64_t h = h0; h < h1; ++h) {
      for (int64_t w = w0; w < w1; ++w) {
        cuda::LoadPacked<kN>(x + ((at.n * p.h + h) * p.w + w) * p.c + column, values);
        for (int c = 0; c < kN; ++c) sums[c] += values[c];
      }
    }
    for (int c = 0; c < kN; ++c) sums[c] /= static_cast<Wide<T>>((h1 - h0) * (w1 - w0));
    cuda::StorePacked<kN>(y + row * p.c + column, sums);
  }

  AvgPoolProblem p;
  const T* x;
  T* y;
  int64_t column = 0;
};

// A pixel of dx.
template <typename T, int kN>
struct BackwardBody {
  static constexpr int kColumns = kN;

  __device__ void Begin(int64_t first) { column = first; }
  __device__ void Row(int64_t row) {
    const auto at = cuda::Pixel::Of(row, p.h, p.w);
    // Outputs First(i) .. Last(i) - 1 of the inverse map cover input i.
    const int64_t oh1 = p.Last(at.row, p.out_h, p.h), ow1 = p.Last(at.column, p.out_w, p.w);
    Wide<T> sums[kN] = {}, values[kN];
    for (int64_t oh = p.First(at.row, p.out_h, p.h); oh < oh1; ++oh) {
      const int64_t rows = p.Last(oh, p.h, p.out_h) - p.First(oh, p.h, p.out_h);
      for (int64_t ow = p.First(at.column, p.out_w, p.w); ow < ow1; ++ow) {
        const int64_t count = rows * (p.Last(ow, p.w, p.out_w) - p.First(ow, p.w, p.out_w));
        cuda::LoadPacked<kN>(dy + ((at.n * p.out_h + oh) * p.out_w + ow) * p.c + column, values);
        for (int c = 0; c < kN; ++c) sums[c] += values[c] / static_cast<Wide<T>>(count);
      }
    }
    cuda::StorePacked<kN>(dx + row * p.c + column, sums);
  }

  AvgPoolProblem p;
  const T* dy;
  T* dx;
  int64_t column = 0;
};

template <typename T, int kN>
void ForwardOf(const AvgPoolProblem& p, const Tensor& x, Tensor& y) {
  cuda::ForColumns(x.device(), p.n * p.out_h * p.out_w, p.c,
                   ForwardBody<T, kN>{p, x.device_data<T>(), y.device_data<T>()});
}

template <typename T, int kN>
void BackwardOf(const AvgPoolProblem& p, const Tensor& dy, Tensor& dx) {
  cuda::ForColumns(dy.device(), p.n * p.h * p.w, p.c,
                   BackwardBody<T, kN>{p, dy.device_data<T>(), dx.device_data<T>()});
}

}  // namespace

const AvgPoolKernels kAvgPoolKernels = {
    .forward =
        [](const AvgPoolProblem& p, const Tensor& x, Tensor& y) {
          cuda::VisitPacked(p.dtype, p.c, [&](auto type, auto packed) {
            ForwardOf<decltype(type), decltype(packed)::value>(p, x, y);
          });
        },
    .backward =
        [](const AvgPoolProblem& p, const Tensor& dy, Tensor& dx) {
          cuda::VisitPacked(p.dtype, p.c, [&](auto type, auto packed) {
            BackwardOf<decltype(type), decltype(packed)::value>(p, dy, dx);
          });
        },
};

}  // namespace halftone::ops
