#include "tensor/ops/avg_pool/avg_pool.h"

#include <algorithm>

#include "tensor/ops/avg_pool/avg_pool_implementations.h"
#include "tensor/ops/avg_pool/avg_pool_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/avg_pool/avg_pool.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

void SimdForward(const AvgPoolProblem& p, int64_t row, const void* x, void* y) {
  const int64_t n = row / p.out_h, oh = row % p.out_h;
  const int64_t h0 = p.First(oh, p.h, p.out_h), h1 = p.Last(oh, p.h, p.out_h);
  VisitStorage(p.dtype, [=, &p](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* image = static_cast<const T*>(x) + n * p.h * p.w * p.c;
    for (int64_t ow = 0; ow < p.out_w; ++ow) {
      const int64_t w0 = p.First(ow, p.w, p.out_w), w1 = p.Last(ow, p.w, p.out_w);
      T* to = static_cast<T*>(y) + (row * p.out_w + ow) * p.c;
      const float count = static_cast<float>((h1 - h0) * (w1 - w0));
      ForVectors(p.c, [=, &p](auto d, size_t c) HWY_ATTR {
        auto sum = hn::Zero(d);
        for (int64_t h = h0; h < h1; ++h) {
          for (int64_t w = w0; w < w1; ++w)
            sum = hn::Add(sum, LoadFloats(d, image + (h * p.w + w) * p.c + c));
        }
        StoreFloats(hn::Div(sum, hn::Set(d, count)), d, to + c);
      });
    }
  });
}

void SimdBackward(const AvgPoolProblem& p, int64_t row, const void* dy, void* dx) {
  const int64_t n = row / p.h, h = row % p.h;
  VisitStorage(p.dtype, [=, &p](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* gradient = static_cast<const T*>(dy) + n * p.out_h * p.out_w * p.c;
    // Outputs First(i) .. Last(i) - 1 of the inverse map cover input i.
    const int64_t oh0 = p.First(h, p.out_h, p.h), oh1 = p.Last(h, p.out_h, p.h);
    for (int64_t w = 0; w < p.w; ++w) {
      const int64_t ow0 = p.First(w, p.out_w, p.w), ow1 = p.Last(w, p.out_w, p.w);
      T* to = static_cast<T*>(dx) + (row * p.w + w) * p.c;
      ForVectors(p.c, [=, &p](auto d, size_t c) HWY_ATTR {
        auto sum = hn::Zero(d);
        for (int64_t oh = oh0; oh < oh1; ++oh) {
          const int64_t rows = p.Last(oh, p.h, p.out_h) - p.First(oh, p.h, p.out_h);
          for (int64_t ow = ow0; ow < ow1; ++ow) {
            const int64_t count = rows * (p.Last(ow, p.w, p.out_w) - p.First(ow, p.w, p.out_w));
            const auto g = LoadFloats(d, gradient + (oh * p.out_w + ow) * p.c + c);
            sum = hn::Add(sum, hn::Div(g, hn::Set(d, static_cast<float>(count))));
          }
        }
        StoreFloats(sum, d, to + c);
      });
    }
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <type_traits>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(SimdForward);
HWY_EXPORT(SimdBackward);

void DispatchForward(const AvgPoolProblem& p, int64_t row, const void* x, void* y) {
  HWY_DYNAMIC_DISPATCH(SimdForward)(p, row, x, y);
}

void DispatchBackward(const AvgPoolProblem& p, int64_t row, const void* dy, void* dx) {
  HWY_DYNAMIC_DISPATCH(SimdBackward)(p, row, dy, dx);
}

template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

void ReferenceForward(const AvgPoolProblem& p, int64_t row, const void* x, void* y) {
  const int64_t n = row / p.out_h, oh = row % p.out_h;
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t ow = 0; ow < p.out_w; ++ow) {
      for (int64_t c = 0; c < p.c; ++c) {
        Arithmetic<T> sum = 0, count = 0;
        for (int64_t h = p.First(oh, p.h, p.out_h); h < p.Last(oh, p.h, p.out_h); ++h) {
          for (int64_t w = p.First(ow, p.w, p.out_w); w < p.Last(ow, p.w, p.out_w); ++w) {
            sum += static_cast<const T*>(x)[((n * p.h + h) * p.w + w) * p.c + c];
            ++count;
          }
        }
        static_cast<T*>(y)[(row * p.out_w + ow) * p.c + c] = T(sum / count);
      }
    }
  });
}

// Every output is asked whether it covers the element.
void ReferenceBackward(const AvgPoolProblem& p, int64_t row, const void* dy, void* dx) {
  const int64_t n = row / p.h, h = row % p.h;
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t w = 0; w < p.w; ++w) {
      for (int64_t c = 0; c < p.c; ++c) {
        Arithmetic<T> sum = 0;
        for (int64_t oh = 0; oh < p.out_h; ++oh) {
          for (int64_t ow = 0; ow < p.out_w; ++ow) {
            const int64_t h0 = p.First(oh, p.h, p.out_h), h1 = p.Last(oh, p.h, p.out_h);
            const int64_t w0 = p.First(ow, p.w, p.out_w), w1 = p.Last(ow, p.w, p.out_w);
            if (h < h0 || h >= h1 || w < w0 || w >= w1) continue;
            const T g = static_cast<const T*>(dy)[((n * p.out_h + oh) * p.out_w + ow) * p.c + c];
            sum += Arithmetic<T>(g) / static_cast<Arithmetic<T>>((h1 - h0) * (w1 - w0));
          }
        }
        static_cast<T*>(dx)[(row * p.w + w) * p.c + c] = T(sum);
      }
    }
  });
}

constexpr AvgPoolImplementation kImplementations[] = {
    {.name = "simd",
     .supports = [](DType dtype) { return dtype != DType::kF64; },
     .forward = DispatchForward,
     .backward = DispatchBackward},
    {.name = "reference",
     .supports = [](DType) { return true; },
     .forward = ReferenceForward,
     .backward = ReferenceBackward},
};

AvgPoolProblem Problem(DType dtype, const Shape& x, int64_t out_h, int64_t out_w) {
  HALFTONE_CHECK(IsFloat(dtype) && x.rank() == 4 && x[1] > 0 && x[2] > 0 && out_h > 0 && out_w > 0);
  return {.dtype = dtype, .n = x[0], .h = x[1], .w = x[2], .c = x[3], .out_h = out_h, .out_w = out_w};
}

const AvgPoolImplementation& Choose(DType dtype) {
  const AvgPoolImplementation* row = kImplementations;
  while (!row->supports(dtype)) ++row;
  return *row;
}

// Rows of `elements` elements that are worth a thread.
size_t Grain(int64_t elements) { return std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, elements)); }

}  // namespace

absl::Span<const AvgPoolImplementation> AvgPoolImplementations() { return kImplementations; }

Tensor AdaptiveAvgPoolForward(const Tensor& x, int64_t out_h, int64_t out_w) {
  const AvgPoolProblem p = Problem(x.dtype(), x.shape(), out_h, out_w);
  const AvgPoolImplementation& implementation = Choose(p.dtype);
  Tensor y = Tensor::Empty(x.device(), x.dtype(), {p.n, out_h, out_w, p.c});
  if (const auto* kernels = x.device().Kernels<AvgPoolKernels>()) {
    kernels->forward(p, x, y);
    return y;
  }
  const void* from = x.raw();
  void* to = y.raw();
  ParallelFor(p.n * out_h, Grain(p.h * p.w * p.c / out_h), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) implementation.forward(p, row, from, to);
  });
  return y;
}

Tensor AdaptiveAvgPoolBackward(const Tensor& dy, const Shape& x_shape) {
  HALFTONE_CHECK(dy.shape().rank() == 4);
  const AvgPoolProblem p = Problem(dy.dtype(), x_shape, dy.shape()[1], dy.shape()[2]);
  HALFTONE_CHECK(dy.shape()[0] == p.n && dy.shape()[3] == p.c);
  const AvgPoolImplementation& implementation = Choose(p.dtype);
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), x_shape);
  if (const auto* kernels = dy.device().Kernels<AvgPoolKernels>()) {
    kernels->backward(p, dy, dx);
    return dx;
  }
  const void* from = dy.raw();
  void* to = dx.raw();
  ParallelFor(p.n * p.h, Grain(p.w * p.c), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) implementation.backward(p, row, from, to);
  });
  return dx;
}

}  // namespace halftone::ops
#endif  // HWY_ONCE
