#include "scaler/unscale.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "scaler/span_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "scaler/unscale.cc"
#include "hwy/foreach_target.h"  // must come before highway.h

#include "fp16/float_vectors-inl.h"
#include "hwy/highway.h"

#ifndef HALFTONE_SCALER_UNSCALE_CC_ONCE_
#define HALFTONE_SCALER_UNSCALE_CC_ONCE_
namespace halftone {

struct BlockStats {
  double squares = 0;  // of the unscaled gradients, summed
  size_t zeros = 0;    // 0 where nobody asked
};

}  // namespace halftone
#endif  // HALFTONE_SCALER_UNSCALE_CC_ONCE_

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Element i of a block is added to partial sum i % kLanes; the partial sums are then added in order. A vector
// of any length up to kLanes doubles works on that layout.
inline constexpr size_t kLanes = 16;

// to[i] = from[i] * inverse; `from` may be `to`. The square of a float is exact in double, so that a fused
// multiply-add gives the same bits as any other.
//
// store: false where `to` holds the products already.
template <bool count_zeros, bool store, typename T>
HWY_INLINE BlockStats Unscale(const T* from, float* to, size_t n, float inverse) {
  const hn::CappedTag<double, kLanes> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  constexpr size_t kStep = hn::MaxLanes(d64);
  const auto factor = hn::Set(d32, inverse);

  size_t zeros = 0;
  hn::Vec<decltype(d64)> sums[kLanes / kStep];
  for (auto& sum : sums) sum = hn::Zero(d64);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t k = 0; k < kLanes / kStep; ++k) {
      const auto x = hn::Mul(LoadFloats(d32, from + i + k * kStep), factor);
      if constexpr (store) hn::StoreU(x, d32, to + i + k * kStep);
      const auto wide = hn::PromoteTo(d64, x);
      sums[k] = hn::MulAdd(wide, wide, sums[k]);
      if constexpr (count_zeros) zeros += hn::CountTrue(d32, hn::Eq(x, hn::Zero(d32)));
    }
  }

  HWY_ALIGN double lanes[kLanes];
  for (size_t k = 0; k < kLanes / kStep; ++k) hn::Store(sums[k], d64, lanes + k * kStep);
  for (size_t lane = 0; i < n; ++i, ++lane) {
    const float x = static_cast<float>(from[i]) * inverse;
    if constexpr (store) to[i] = x;
    lanes[lane] += static_cast<double>(x) * x;
    if constexpr (count_zeros) zeros += x == 0;
  }
  BlockStats stats = {.zeros = zeros};
  for (const double lane : lanes) stats.squares += lane;
  return stats;
}

template <typename T>
HWY_INLINE BlockStats UnscaleBlock(const T* from, float* to, size_t n, float inverse, bool count_zeros) {
  return count_zeros ? Unscale<true, true>(from, to, n, inverse) : Unscale<false, true>(from, to, n, inverse);
}

BlockStats UnscaleFloat(const float* from, float* to, size_t n, float inverse, bool count_zeros) {
  // Without a scale, only looking is left to do.
  if (from == to && inverse == 1) {
    return count_zeros ? Unscale<true, false>(from, to, n, 1) : Unscale<false, false>(from, to, n, 1);
  }
  return UnscaleBlock(from, to, n, inverse, count_zeros);
}
BlockStats UnscaleHalf(const half* from, float* to, size_t n, float inverse, bool count_zeros) {
  return UnscaleBlock(from, to, n, inverse, count_zeros);
}
BlockStats UnscaleBfloat16(const bfloat16* from, float* to, size_t n, float inverse, bool count_zeros) {
  return UnscaleBlock(from, to, n, inverse, count_zeros);
}

template <class F>
HWY_INLINE void TransformBlock(float* HWY_RESTRICT g, size_t n, const F& f) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) hn::StoreU(f(d, hn::LoadU(d, g + i)), d, g + i);
  for (; i < n; ++i) hn::StoreU(f(one, hn::LoadU(one, g + i)), one, g + i);
}

void MultiplyBlock(float* g, size_t n, float by) {
  TransformBlock(g, n, [by](auto d, auto x) { return hn::Mul(x, hn::Set(d, by)); });
}

void ClampBlock(float* g, size_t n, float limit) {
  TransformBlock(
      g, n, [limit](auto d, auto x) { return hn::Min(hn::Max(x, hn::Set(d, -limit)), hn::Set(d, limit)); });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(UnscaleFloat);
HWY_EXPORT(UnscaleHalf);
HWY_EXPORT(UnscaleBfloat16);
HWY_EXPORT(MultiplyBlock);
HWY_EXPORT(ClampBlock);

// Elements whose squares are summed together; the blocks' sums are added in order.
constexpr size_t kBlock = 4096;

SpanBlocks Blocks(absl::Span<const absl::Span<float>> grads) {
  return SpanBlocks(
      grads.size(), [&](size_t i) { return grads[i].size(); }, kBlock);
}

BlockStats UnscaleBlock(const float* from, float* to, size_t n, float inverse, bool count_zeros) {
  return HWY_DYNAMIC_DISPATCH(UnscaleFloat)(from, to, n, inverse, count_zeros);
}
BlockStats UnscaleBlock(const half* from, float* to, size_t n, float inverse, bool count_zeros) {
  return HWY_DYNAMIC_DISPATCH(UnscaleHalf)(from, to, n, inverse, count_zeros);
}
BlockStats UnscaleBlock(const bfloat16* from, float* to, size_t n, float inverse, bool count_zeros) {
  return HWY_DYNAMIC_DISPATCH(UnscaleBfloat16)(from, to, n, inverse, count_zeros);
}

// from(i) is where the gradients of to[i] are.
template <typename From>
GradStats UnscaleFrom(const From& from, absl::Span<const absl::Span<float>> to, double scale,
                      absl::Span<int64_t> zeros) {
  HALFTONE_CHECK(scale > 0 && std::isfinite(scale));
  HALFTONE_CHECK(zeros.empty() || zeros.size() == to.size());
  const float inverse = static_cast<float>(1.0 / scale);
  const SpanBlocks blocks = Blocks(to);
  std::vector<BlockStats> stats(blocks.count());
  blocks.ParallelForEach([&](size_t array, size_t begin, size_t end, size_t number) {
    stats[number] =
        UnscaleBlock(from(array) + begin, to[array].data() + begin, end - begin, inverse, !zeros.empty());
  });

  double sum = 0;
  for (const BlockStats& s : stats) sum += s.squares;
  for (size_t i = 0; i < zeros.size(); ++i) {
    zeros[i] = 0;
    for (size_t b = blocks.first(i); b < blocks.first(i + 1); ++b) {
      zeros[i] += static_cast<int64_t>(stats[b].zeros);
    }
  }
  // Squares of finite floats are below 2^256 and a sum of them finite; an infinity or a NaN stays one in
  // every sum.
  return {.finite = std::isfinite(sum), .norm = std::sqrt(sum)};
}

template <typename T>
GradStats UnscaleWidened(absl::Span<const absl::Span<const T>> grads,
                         absl::Span<const absl::Span<float>> unscaled, double scale,
                         absl::Span<int64_t> zeros) {
  HALFTONE_CHECK(grads.size() == unscaled.size());
  for (size_t i = 0; i < grads.size(); ++i) HALFTONE_CHECK(grads[i].size() == unscaled[i].size());
  return UnscaleFrom([&](size_t i) { return grads[i].data(); }, unscaled, scale, zeros);
}

}  // namespace

GradStats UnscaleAndCheck(absl::Span<const absl::Span<float>> grads, double scale,
                          absl::Span<int64_t> zeros) {
  return UnscaleFrom([&](size_t i) -> const float* { return grads[i].data(); }, grads, scale, zeros);
}

GradStats UnscaleAndCheck(absl::Span<const absl::Span<const half>> grads,
                          absl::Span<const absl::Span<float>> unscaled, double scale,
                          absl::Span<int64_t> zeros) {
  return UnscaleWidened(grads, unscaled, scale, zeros);
}

GradStats UnscaleAndCheck(absl::Span<const absl::Span<const bfloat16>> grads,
                          absl::Span<const absl::Span<float>> unscaled, double scale,
                          absl::Span<int64_t> zeros) {
  return UnscaleWidened(grads, unscaled, scale, zeros);
}

float ClipFactor(double max_norm, double norm) {
  HALFTONE_CHECK(max_norm <= 0 || std::isfinite(norm));
  return UncheckedClipFactor(max_norm, norm);
}

void ClipByGlobalNorm(absl::Span<const absl::Span<float>> grads, double max_norm, double norm) {
  const float factor = ClipFactor(max_norm, norm);
  if (factor == 1) return;
  Blocks(grads).ParallelForEach([&](size_t array, size_t begin, size_t end, size_t) {
    HWY_DYNAMIC_DISPATCH(MultiplyBlock)(grads[array].data() + begin, end - begin, factor);
  });
}

void ClipByValue(absl::Span<const absl::Span<float>> grads, float max_value) {
  if (max_value <= 0) return;
  HALFTONE_CHECK(!std::isnan(max_value));
  Blocks(grads).ParallelForEach([&](size_t array, size_t begin, size_t end, size_t) {
    HWY_DYNAMIC_DISPATCH(ClampBlock)(grads[array].data() + begin, end - begin, max_value);
  });
}

}  // namespace halftone
#endif  // HWY_ONCE
