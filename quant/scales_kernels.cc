#include "quant/scales_kernels.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/scales_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/highway.h"
#include "quant/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Calls at(x) for vectors of x, the last filled up with zeros.
template <class At>
HWY_INLINE void ForEachVector(const float* x, size_t n, At at) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) at(hn::LoadU(d, x + i));
  if (i == n) return;
  HWY_ALIGN float few[kLanes] = {};
  std::copy(x + i, x + n, few);
  at(hn::Load(d, few));
}

HWY_INLINE hn::Mask<FloatTag> Finite(FloatLanes v) {
  return hn::Le(hn::Abs(v), hn::Set(FloatTag(), std::numeric_limits<float>::max()));
}

// The sum of term(x, y), vectors of double.
template <class Term>
HWY_INLINE double Sum(const float* x, const float* y, size_t n, Term term) {
  const hn::CappedTag<double, kLanes> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  constexpr size_t kStep = hn::MaxLanes(d64);
  hn::Vec<decltype(d64)> sums[kLanes / kStep];
  for (auto& sum : sums) sum = hn::Zero(d64);
  const auto add = [&](const float* x_here, const float* y_here) HWY_ATTR {
    for (size_t k = 0; k < kLanes / kStep; ++k) {
      const auto a = hn::LoadU(d32, x_here + k * kStep), b = hn::LoadU(d32, y_here + k * kStep);
      const auto counts = hn::Le(hn::Abs(a), hn::Set(d32, std::numeric_limits<float>::max()));
      const auto wide_a = hn::PromoteTo(d64, hn::IfThenElseZero(counts, a));
      const auto wide_b = hn::PromoteTo(d64, hn::IfThenElseZero(counts, b));
      sums[k] = hn::Add(sums[k], term(wide_a, wide_b));
    }
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) add(x + i, y + i);
  if (i < n) {
    float few[2][kLanes] = {};
    std::copy(x + i, x + n, few[0]);
    std::copy(y + i, y + n, few[1]);
    add(few[0], few[1]);
  }
  HWY_ALIGN double lanes[kLanes];
  for (size_t k = 0; k < kLanes / kStep; ++k) hn::Store(sums[k], d64, lanes + k * kStep);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

float LargestFiniteMagnitude(const float* x, size_t n) {
  const FloatTag d;
  FloatLanes largest = hn::Zero(d);
  ForEachVector(x, n, [&](FloatLanes v) HWY_ATTR {
    largest = hn::Max(largest, hn::IfThenElseZero(Finite(v), hn::Abs(v)));
  });
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

quant_internal::Range FiniteRange(const float* x, size_t n) {
  const FloatTag d;
  FloatLanes lowest = hn::Zero(d), highest = hn::Zero(d);
  ForEachVector(x, n, [&](FloatLanes v) HWY_ATTR {
    const FloatLanes number = hn::IfThenElseZero(Finite(v), v);
    lowest = hn::Min(lowest, number);
    highest = hn::Max(highest, number);
  });
  return {hn::GetLane(hn::MinOfLanes(d, lowest)), hn::GetLane(hn::MaxOfLanes(d, highest))};
}

double SumMagnitudes(const float* x, size_t n) {
  return Sum(x, x, n, [](auto a, auto) HWY_ATTR { return hn::Abs(a); });
}

double SumSquaredErrors(const float* x, const float* y, size_t n) {
  return Sum(x, y, n, [](auto a, auto b) HWY_ATTR {
    const auto error = hn::Sub(a, b);
    return hn::Mul(error, error);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(LargestFiniteMagnitude);
HWY_EXPORT(FiniteRange);
HWY_EXPORT(SumMagnitudes);
HWY_EXPORT(SumSquaredErrors);

namespace quant_internal {

float LargestMagnitude(const float* x, size_t n) {
  return HWY_DYNAMIC_DISPATCH(LargestFiniteMagnitude)(x, n);
}
Range RangeOf(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(FiniteRange)(x, n); }
double SumOfMagnitudes(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(SumMagnitudes)(x, n); }
double SumOfSquaredErrors(const float* x, const float* y, size_t n) {
  return HWY_DYNAMIC_DISPATCH(SumSquaredErrors)(x, y, n);
}

}  // namespace quant_internal
}  // namespace halftone
#endif  // HWY_ONCE
