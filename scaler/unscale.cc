#include "scaler/unscale.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "scaler/span_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "scaler/unscale.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Element i of a block is added to partial sum i % kLanes; the partial sums are then added in order. A vector
// of any length up to kLanes doubles works on that layout.
inline constexpr size_t kLanes = 16;

// g *= inverse; returns the sum of squares of the products.
double UnscaleBlock(float* HWY_RESTRICT g, size_t n, float inverse) {
  const hn::CappedTag<double, kLanes> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  constexpr size_t kStep = hn::MaxLanes(d64);
  const auto factor = hn::Set(d32, inverse);

  hn::Vec<decltype(d64)> sums[kLanes / kStep];
  for (auto& sum : sums) sum = hn::Zero(d64);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t k = 0; k < kLanes / kStep; ++k) {
      const auto x = hn::Mul(hn::LoadU(d32, g + i + k * kStep), factor);
      hn::StoreU(x, d32, g + i + k * kStep);
      const auto wide = hn::PromoteTo(d64, x);
      sums[k] = hn::Add(sums[k], hn::Mul(wide, wide));
    }
  }

  HWY_ALIGN double lanes[kLanes];
  for (size_t k = 0; k < kLanes / kStep; ++k) hn::Store(sums[k], d64, lanes + k * kStep);
  for (size_t lane = 0; i < n; ++i, ++lane) {
    g[i] *= inverse;
    lanes[lane] += static_cast<double>(g[i]) * g[i];
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

void MultiplyBlock(float* HWY_RESTRICT g, size_t n, float by) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, by);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) hn::StoreU(hn::Mul(hn::LoadU(d, g + i), factor), d, g + i);
  for (; i < n; ++i) g[i] *= by;
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {
namespace {

HWY_EXPORT(UnscaleBlock);
HWY_EXPORT(MultiplyBlock);

// Elements whose squares are summed together; the blocks' sums are added in order.
constexpr size_t kBlock = 4096;

SpanBlocks Blocks(absl::Span<const absl::Span<float>> grads) {
  return SpanBlocks(
      grads.size(), [&](size_t i) { return grads[i].size(); }, kBlock);
}

}  // namespace

GradStats UnscaleAndCheck(absl::Span<const absl::Span<float>> grads, float scale) {
  HALFTONE_CHECK(scale > 0 && std::isfinite(scale));
  const float inverse = static_cast<float>(1.0 / scale);
  const SpanBlocks blocks = Blocks(grads);
  std::vector<double> sums(blocks.count());
  blocks.ParallelForEach([&](size_t array, size_t begin, size_t end, size_t number) {
    sums[number] = HWY_DYNAMIC_DISPATCH(UnscaleBlock)(grads[array].data() + begin, end - begin, inverse);
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  // Squares of finite floats are below 2^256 and a sum of them finite; an infinity or a NaN stays one in
  // every sum.
  return {.finite = std::isfinite(sum), .norm = std::sqrt(sum)};
}

void ClipByGlobalNorm(absl::Span<const absl::Span<float>> grads, double max_norm, double norm) {
  if (max_norm <= 0) return;
  HALFTONE_CHECK(std::isfinite(norm));
  const double coefficient = max_norm / (norm + 1e-6);
  if (!(coefficient < 1)) return;
  Blocks(grads).ParallelForEach([&](size_t array, size_t begin, size_t end, size_t) {
    HWY_DYNAMIC_DISPATCH(MultiplyBlock)
    (grads[array].data() + begin, end - begin, static_cast<float>(coefficient));
  });
}

}  // namespace halftone
#endif  // HWY_ONCE
