// Vector code over the channels.
//
// Values are compared by their codes as signed integers, which needs no conversion from half and bfloat16 and
// moves twice as many of them at a time as of float.
#include "tensor/ops/max_pool/max_pool_implementations.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/max_pool/max_pool_simd.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// T: the signed integer as wide as an element.
//
// Integers that are ordered as the floats are whose codes these are, -0 and 0 equal, with all NaNs the
// largest integer.
template <class D>
HWY_INLINE hn::Vec<D> Order(D d, hn::Vec<D> code, hn::TFromD<D> infinity) {
  using T = hn::TFromD<D>;
  const auto magnitude = hn::And(code, hn::Set(d, hwy::LimitsMax<T>()));
  const auto negative = hn::BroadcastSignBit(code);
  const auto value = hn::Sub(hn::Xor(magnitude, negative), negative);
  return hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, infinity)), hn::Set(d, hwy::LimitsMax<T>()), value);
}

// Lanes(d) channels of one window: x points to its first element inside the image.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void Maximum(D d, const T* HWY_RESTRICT x, int64_t rows, int64_t cols, int64_t row_stride,
                        int64_t col_stride, int64_t first_index, int64_t window, T infinity,
                        T* HWY_RESTRICT y, uint8_t* HWY_RESTRICT index) {
  // A NaN's place in the order beats this even when a NaN is the best so far: the last NaN wins.
  const auto below_nan = hn::Set(d, static_cast<T>(hwy::LimitsMax<T>() - 1));
  auto best = hn::LoadU(d, x);
  auto best_order = hn::Min(Order(d, best, infinity), below_nan);
  auto best_index = hn::Set(d, static_cast<T>(first_index));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r == 0 ? 1 : 0; c < cols; ++c) {
      const auto code = hn::LoadU(d, x + r * row_stride + c * col_stride);
      const auto order = Order(d, code, infinity);
      const auto better = hn::Gt(order, best_order);
      best = hn::IfThenElse(better, code, best);
      best_order = hn::Min(hn::Max(order, best_order), below_nan);
      best_index =
          hn::IfThenElse(better, hn::Set(d, static_cast<T>(first_index + r * window + c)), best_index);
    }
  }
  hn::StoreU(best, d, y);
  const hn::Rebind<uint8_t, D> d8;
  hn::StoreU(hn::DemoteTo(d8, best_index), d8, index);
}

template <typename T>
void ForwardRow(const MaxPoolProblem& p, int64_t n, int64_t oh, const T* HWY_RESTRICT x, T infinity,
                T* HWY_RESTRICT y, uint8_t* HWY_RESTRICT index) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> d1;
  const int64_t lanes = hn::Lanes(d);
  const int64_t h = p.First(oh), rows = p.Last(oh, p.h) - h;
  for (int64_t ow = 0; ow < p.out_w; ++ow) {
    const int64_t w = p.First(ow), cols = p.Last(ow, p.w) - w;
    const int64_t first_index = (h - p.Start(oh)) * p.window + w - p.Start(ow);
    const T* from = x + ((n * p.h + h) * p.w + w) * p.c;
    const int64_t to = ((n * p.out_h + oh) * p.out_w + ow) * p.c;
    int64_t c = 0;
    for (; c + lanes <= p.c; c += lanes) {
      Maximum(d, from + c, rows, cols, p.w * p.c, p.c, first_index, p.window, infinity, y + to + c,
              index + to + c);
    }
    for (; c < p.c; ++c) {
      Maximum(d1, from + c, rows, cols, p.w * p.c, p.c, first_index, p.window, infinity, y + to + c,
              index + to + c);
    }
  }
}

// One row of windows; windows do not overlap, so each element of dx is written once, in order.
template <typename T>
void DisjointBackwardRow(const MaxPoolProblem& p, int64_t n, int64_t oh, const T* HWY_RESTRICT dy,
                         const uint8_t* HWY_RESTRICT index, T* HWY_RESTRICT dx) {
  const auto spread = [&](auto d, const T* g, const uint8_t* at, T position, T* to) HWY_ATTR {
    const hn::Rebind<uint8_t, decltype(d)> d8;
    const auto here = hn::Eq(hn::PromoteTo(d, hn::LoadU(d8, at)), hn::Set(d, position));
    hn::StoreU(hn::IfThenElseZero(here, hn::LoadU(d, g)), d, to);
  };
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> d1;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t r = 0; r < p.window; ++r) {
    T* to = dx + (n * p.h + oh * p.window + r) * p.w * p.c;
    for (int64_t ow = 0; ow < p.out_w; ++ow) {
      const int64_t from = ((n * p.out_h + oh) * p.out_w + ow) * p.c;
      for (int64_t k = 0; k < p.window; ++k, to += p.c) {
        const T position = static_cast<T>(r * p.window + k);
        int64_t c = 0;
        for (; c + lanes <= p.c; c += lanes) spread(d, dy + from + c, index + from + c, position, to + c);
        for (; c < p.c; ++c) spread(d1, dy + from + c, index + from + c, position, to + c);
      }
    }
    std::fill(to, to + (p.w - p.out_w * p.window) * p.c, T(0));
  }
}

// One row of the image: each element gathers the gradients of the windows that it won.
template <typename T>
void GatherRow(const MaxPoolProblem& p, int64_t n, int64_t h, const T* HWY_RESTRICT dy,
               const uint8_t* HWY_RESTRICT index, T* HWY_RESTRICT dx) {
  // Windows first(i) .. last(i) cover row or column i.
  const auto first = [&](int64_t i) {
    return std::max<int64_t>(0, (i + p.padding - p.window + p.stride) / p.stride);
  };
  const auto last = [&](int64_t i, int64_t outputs) {
    return std::min(outputs - 1, (i + p.padding) / p.stride);
  };
  for (int64_t w = 0; w < p.w; ++w) {
    ForVectors(p.c, [&](auto d, size_t c) HWY_ATTR {
      const hn::Rebind<int32_t, decltype(d)> di;
      const hn::Rebind<uint8_t, decltype(d)> d8;
      auto sum = hn::Zero(d);
      for (int64_t oh = first(h); oh <= last(h, p.out_h); ++oh) {
        for (int64_t ow = first(w); ow <= last(w, p.out_w); ++ow) {
          const int64_t from = ((n * p.out_h + oh) * p.out_w + ow) * p.c + c;
          const int64_t position = (h - p.Start(oh)) * p.window + w - p.Start(ow);
          const auto won = hn::Eq(hn::PromoteTo(di, hn::LoadU(d8, index + from)),
                                  hn::Set(di, static_cast<int32_t>(position)));
          sum = hn::Add(sum, hn::IfThenElseZero(hn::RebindMask(d, won), LoadFloats(d, dy + from)));
        }
      }
      StoreFloats(sum, d, dx + ((n * p.h + h) * p.w + w) * p.c + c);
    });
  }
}

// row: n * out_h + oh.
void ForwardRowOf(const MaxPoolProblem& p, int64_t row, const void* x, void* y, uint8_t* index) {
  const int64_t n = row / p.out_h, oh = row % p.out_h;
  if (p.dtype == DType::kF32) {
    ForwardRow<int32_t>(p, n, oh, static_cast<const int32_t*>(x), 0x7f800000, static_cast<int32_t*>(y),
                        index);
  } else {
    ForwardRow<int16_t>(p, n, oh, static_cast<const int16_t*>(x), p.dtype == DType::kF16 ? 0x7c00 : 0x7f80,
                        static_cast<int16_t*>(y), index);
  }
}

void DisjointBackwardRowOf(const MaxPoolProblem& p, int64_t row, const void* dy, const uint8_t* index,
                           void* dx) {
  const int64_t n = row / p.out_h, oh = row % p.out_h;
  if (p.dtype == DType::kF32) {
    DisjointBackwardRow(p, n, oh, static_cast<const int32_t*>(dy), index, static_cast<int32_t*>(dx));
  } else {
    DisjointBackwardRow(p, n, oh, static_cast<const int16_t*>(dy), index, static_cast<int16_t*>(dx));
  }
}

// row: n * h + h.
void GatherRowOf(const MaxPoolProblem& p, int64_t row, const void* dy, const uint8_t* index, void* dx) {
  VisitStorage(p.dtype, [=, &p](auto type) HWY_ATTR {
    using T = decltype(type);
    GatherRow(p, row / p.h, row % p.h, static_cast<const T*>(dy), index, static_cast<T*>(dx));
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cstring>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(ForwardRowOf);
HWY_EXPORT(DisjointBackwardRowOf);
HWY_EXPORT(GatherRowOf);

// Rows of `elements` elements that are worth a thread.
size_t Grain(int64_t elements) { return std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, elements)); }

void Forward(const MaxPoolProblem& p, const void* x, void* y, uint8_t* index) {
  ParallelFor(p.n * p.out_h, Grain(p.stride * p.w * p.c), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) HWY_DYNAMIC_DISPATCH(ForwardRowOf)(p, row, x, y, index);
  });
}

void DisjointBackward(const MaxPoolProblem& p, const void* dy, const uint8_t* index, void* dx) {
  const size_t row_bytes = static_cast<size_t>(p.w * p.c) * SizeOf(p.dtype);
  const size_t left_over = static_cast<size_t>(p.h - p.out_h * p.window) * row_bytes;
  ParallelFor(p.n * p.out_h, Grain(p.stride * p.w * p.c), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      HWY_DYNAMIC_DISPATCH(DisjointBackwardRowOf)(p, row, dy, index, dx);
      const bool last = static_cast<int64_t>(row) % p.out_h == p.out_h - 1;
      if (last && left_over > 0) {  // the image's last rows, that no window covers
        const size_t images = row / p.out_h + 1;
        std::memset(static_cast<char*>(dx) + images * p.h * row_bytes - left_over, 0, left_over);
      }
    }
  });
}

void GatherBackward(const MaxPoolProblem& p, const void* dy, const uint8_t* index, void* dx) {
  ParallelFor(p.n * p.h, Grain(p.w * p.c), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) HWY_DYNAMIC_DISPATCH(GatherRowOf)(p, row, dy, index, dx);
  });
}

}  // namespace

const MaxPoolImplementation kSimdDisjointMaxPool = {
    .name = "simd_disjoint",
    .supports = [](const MaxPoolProblem& p) { return p.dtype != DType::kF64 && p.disjoint(); },
    .forward = Forward,
    .backward = DisjointBackward};

const MaxPoolImplementation kSimdMaxPool = {
    .name = "simd",
    .supports = [](const MaxPoolProblem& p) { return p.dtype != DType::kF64; },
    .forward = Forward,
    .backward = GatherBackward};

}  // namespace halftone::ops
#endif  // HWY_ONCE
