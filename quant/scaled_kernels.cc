#include "quant/scaled_kernels.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/scaled_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/highway.h"
#include "quant/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using quant_internal::FloatGrid;
using quant_internal::IntegerGrid;

// Calls at(from a whole vector's first index) for vectors that cover [0, n), n >= Lanes: the last overlaps
// the one before, which is no harm where outputs are not inputs.
template <class At>
HWY_INLINE void ForEachVector(size_t n, At at) {
  const size_t lanes = hn::Lanes(FloatTag());
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) at(i);
  if (i < n) at(n - lanes);
}

// to[i] = f(from[i]): floats to floats, f on vectors.
template <class F>
HWY_INLINE void MapFloats(const float* HWY_RESTRICT from, float* HWY_RESTRICT to, size_t n, bool past_cache,
                          F f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  if (n < lanes) {
    HWY_ALIGN float few[kLanes] = {};
    std::copy_n(from, n, few);
    hn::Store(f(hn::Load(d, few)), d, few);
    std::copy_n(few, n, to);
    return;
  }
  const size_t vector_bytes = lanes * sizeof(float);
  if (past_cache && n >= 4 * lanes && vector_bytes >= 16) {
    // Up to the first aligned vector of `to`, then those, then the last one: the first and the last overlap
    // others.
    hn::StoreU(f(hn::LoadU(d, from)), d, to);
    const size_t misalignment = reinterpret_cast<uintptr_t>(to) % vector_bytes / sizeof(float);
    size_t i = lanes - misalignment;
    for (; i + lanes <= n; i += lanes) StorePastCache()(f(hn::LoadU(d, from + i)), to + i);
    hn::StoreU(f(hn::LoadU(d, from + n - lanes)), d, to + n - lanes);
    return;
  }
  ForEachVector(n, [&](size_t i) HWY_ATTR { hn::StoreU(f(hn::LoadU(d, from + i)), d, to + i); });
}

template <class Grid>
HWY_INLINE void FakeQuantizeAll(const Grid grid, const float* x, float scale, float* y, size_t n,
                                bool past_cache) {
  const FloatLanes s = hn::Set(FloatTag(), scale);
  MapFloats(x, y, n, past_cache,
            [&](FloatLanes v) HWY_ATTR { return TimesScale(v, RoundToValues(grid, hn::Div(v, s)), s); });
}

template <class Grid>
HWY_INLINE bool QuantizeAll(const Grid grid, const float* HWY_RESTRICT x, float scale,
                            uint8_t* HWY_RESTRICT codes, size_t n) {
  const FloatTag d;
  const FloatLanes s = hn::Set(d, scale);
  if (n < hn::Lanes(d)) {
    HWY_ALIGN float few[kLanes] = {};
    uint8_t results[kLanes];
    std::copy_n(x, n, few);
    const FloatLanes v = hn::Load(d, few);
    StoreCodes(RoundToCodes(grid, hn::Div(v, s)), results);
    std::copy_n(results, n, codes);
    return !hn::AllFalse(d, hn::IsNaN(v));
  }
  // The greatest magnitude as integers: NaNs' bits are above infinity's.
  const IntTag di;
  IntLanes greatest = hn::Zero(di);
  ForEachVector(n, [&](size_t i) HWY_ATTR {
    const FloatLanes v = hn::LoadU(d, x + i);
    greatest = hn::Max(greatest, hn::BitCast(di, hn::Abs(v)));
    StoreCodes(RoundToCodes(grid, hn::Div(v, s)), codes + i);
  });
  return !hn::AllFalse(di, hn::Gt(greatest, hn::Set(di, 0x7f800000)));
}

// To an integer; |v| < 2^23.
template <Rounding kRounding>
HWY_INLINE FloatLanes RoundOne(FloatLanes v, IntLanes random) {
  const FloatTag d;
  const IntTag di;
  const FloatLanes magnitude = hn::Abs(v);
  const IntLanes below = hn::ConvertTo(di, magnitude);  // toward zero
  const FloatLanes fraction = hn::Sub(magnitude, hn::ConvertTo(d, below));
  const IntLanes one = hn::Set(di, 1);
  const FloatLanes zero = hn::Zero(d), half = hn::Set(d, 0.5f);
  const auto inexact = hn::RebindMask(di, hn::Gt(fraction, zero));
  const auto negative = hn::Lt(hn::BitCast(di, v), hn::Zero(di));
  const auto odd = hn::Eq(hn::And(below, one), one);
  auto away = hn::RebindMask(di, hn::Gt(fraction, half));  // nearest but for ties
  if constexpr (kRounding == Rounding::kNearestEven) {
    away = hn::Or(away, hn::And(hn::RebindMask(di, hn::Eq(fraction, half)), odd));
  } else if constexpr (kRounding == Rounding::kNearestAway) {
    away = hn::RebindMask(di, hn::Ge(fraction, half));
  } else if constexpr (kRounding == Rounding::kTowardZero) {
    away = hn::Lt(one, one);
  } else if constexpr (kRounding == Rounding::kUp) {
    away = hn::AndNot(negative, inexact);
  } else if constexpr (kRounding == Rounding::kDown) {
    away = hn::And(negative, inexact);
  } else if constexpr (kRounding == Rounding::kToOdd) {
    away = hn::AndNot(odd, inexact);
  } else {
    // random < fraction * 2^32, which is that rounded up to an integer. Both are compared less 2^31, as
    // integers with sign: the two halves of the range are converted apart.
    const FloatLanes middle = hn::Set(d, 0x1p31f);
    const FloatLanes threshold = hn::Ceil(hn::Mul(fraction, hn::Set(d, 0x1p32f)));
    const auto upper = hn::Ge(threshold, middle);
    const IntLanes lower_half =
        hn::ConvertTo(di, hn::IfThenElse(upper, hn::Sub(threshold, middle), threshold));
    const IntLanes flip = hn::Set(di, static_cast<int32_t>(0x80000000u));
    const IntLanes shifted = hn::IfThenElse(hn::RebindMask(di, upper), lower_half, hn::Xor(lower_half, flip));
    away = hn::Lt(hn::Xor(random, flip), shifted);
  }
  const FloatLanes rounded = hn::ConvertTo(d, hn::Add(below, hn::IfThenElseZero(away, one)));
  // No -0.
  return hn::Add(hn::CopySignToAbs(rounded, v), zero);
}

template <Rounding kRounding>
HWY_INLINE void RoundAllIntegers(const IntegerGrid grid, const uint32_t* random, float* values, size_t n) {
  const FloatTag d;
  const IntTag di;
  const FloatLanes lowest = hn::Set(d, grid.lowest), highest = hn::Set(d, grid.highest);
  const auto at = [&](float* here, const uint32_t* bits) HWY_ATTR {
    const FloatLanes v = hn::LoadU(d, here);
    const FloatLanes number = hn::IfThenElse(hn::IsNaN(v), hn::Zero(d), v);
    const FloatLanes clamped = hn::Min(hn::Max(number, lowest), highest);
    const IntLanes r = bits == nullptr ? hn::Zero(di) : hn::LoadU(di, reinterpret_cast<const int32_t*>(bits));
    hn::StoreU(RoundOne<kRounding>(clamped, r), d, here);
  };
  constexpr bool kRandom = kRounding == Rounding::kStochastic;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) at(values + i, kRandom ? random + i : nullptr);
  if (i == n) return;
  float few[kLanes] = {};
  uint32_t few_random[kLanes] = {};
  std::copy(values + i, values + n, few);
  if constexpr (kRandom) std::copy(random + i, random + n, few_random);
  at(few, few_random);
  std::copy_n(few, n - i, values + i);
}

}  // namespace

void FakeQuantizeFloats(const FloatGrid& grid, const float* x, float scale, float* y, size_t n,
                        bool past_cache) {
  FakeQuantizeAll(grid, x, scale, y, n, past_cache);
}
void FakeQuantizeIntegers(const IntegerGrid& grid, const float* x, float scale, float* y, size_t n,
                          bool past_cache) {
  FakeQuantizeAll(grid, x, scale, y, n, past_cache);
}
bool QuantizeFloats(const FloatGrid& grid, const float* x, float scale, uint8_t* codes, size_t n) {
  return QuantizeAll(grid, x, scale, codes, n);
}
bool QuantizeIntegers(const IntegerGrid& grid, const float* x, float scale, uint8_t* codes, size_t n) {
  return QuantizeAll(grid, x, scale, codes, n);
}

void DivideFloats(const float* x, float scale, float* q, size_t n) {
  const FloatLanes s = hn::Set(FloatTag(), scale);
  MapFloats(x, q, n, false, [&](FloatLanes v) HWY_ATTR { return hn::Div(v, s); });
}

void RoundToIntegers(const IntegerGrid& grid, Rounding rounding, const uint32_t* random, float* values,
                     size_t n) {
  switch (rounding) {
    case Rounding::kNearestEven:
      return RoundAllIntegers<Rounding::kNearestEven>(grid, random, values, n);
    case Rounding::kNearestAway:
      return RoundAllIntegers<Rounding::kNearestAway>(grid, random, values, n);
    case Rounding::kTowardZero:
      return RoundAllIntegers<Rounding::kTowardZero>(grid, random, values, n);
    case Rounding::kUp:
      return RoundAllIntegers<Rounding::kUp>(grid, random, values, n);
    case Rounding::kDown:
      return RoundAllIntegers<Rounding::kDown>(grid, random, values, n);
    case Rounding::kToOdd:
      return RoundAllIntegers<Rounding::kToOdd>(grid, random, values, n);
    case Rounding::kStochastic:
      return RoundAllIntegers<Rounding::kStochastic>(grid, random, values, n);
  }
}

void IntegersToCodes(const float* HWY_RESTRICT values, int zero_point, uint8_t* HWY_RESTRICT codes,
                     size_t n) {
  const FloatTag d;
  const IntTag di;
  const size_t lanes = hn::Lanes(d);
  const IntLanes offset = hn::Set(di, zero_point);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const IntLanes integer = hn::ConvertTo(di, hn::LoadU(d, values + i));
    StoreCodes(hn::Add(integer, offset), codes + i);
  }
  for (; i < n; ++i) codes[i] = static_cast<uint8_t>(static_cast<int>(values[i]) + zero_point);
}

void CodesToValues(const uint8_t* HWY_RESTRICT codes, int zero_point, float* HWY_RESTRICT values, size_t n) {
  const FloatTag d;
  const IntTag di;
  const hn::Rebind<int8_t, FloatTag> narrow;
  const size_t lanes = hn::Lanes(d);
  const IntLanes offset = hn::Set(di, zero_point);
  const auto* from = reinterpret_cast<const int8_t*>(codes);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const IntLanes code = hn::PromoteTo(di, hn::LoadU(narrow, from + i));
    hn::StoreU(hn::ConvertTo(d, hn::Sub(code, offset)), d, values + i);
  }
  for (; i < n; ++i) values[i] = static_cast<float>(from[i] - zero_point);
}

void MultiplyFloats(const float* HWY_RESTRICT x, const float* HWY_RESTRICT values, float scale,
                    float* HWY_RESTRICT y, size_t n) {
  const FloatTag d;
  const FloatLanes s = hn::Set(d, scale);
  const size_t lanes = hn::Lanes(d);
  // A format without sign makes NaNs of numbers.
  const auto multiply = [&](FloatLanes from, FloatLanes value) HWY_ATTR {
    const auto lost = hn::And(hn::IsNaN(value), hn::IsFinite(from));
    return hn::IfThenElse(lost, value, TimesScale(from, value, s));
  };
  if (n >= lanes) {
    return ForEachVector(n, [&](size_t i) HWY_ATTR {
      hn::StoreU(multiply(hn::LoadU(d, x + i), hn::LoadU(d, values + i)), d, y + i);
    });
  }
  HWY_ALIGN float few_x[kLanes] = {}, few_values[kLanes] = {};
  std::copy_n(x, n, few_x);
  std::copy_n(values, n, few_values);
  hn::Store(multiply(hn::Load(d, few_x), hn::Load(d, few_values)), d, few_x);
  std::copy_n(few_x, n, y);
}

void ScaleFloats(float scale, float* values, size_t n) {
  const FloatTag d;
  const FloatLanes s = hn::Set(d, scale);
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, values + i), s), d, values + i);
  for (; i < n; ++i) values[i] *= scale;
}

double BackwardFloats(const float* HWY_RESTRICT q, const float* HWY_RESTRICT values,
                      const float* HWY_RESTRICT dy, float lowest, float highest, float* HWY_RESTRICT dx,
                      size_t n) {
  const hn::CappedTag<double, kLanes> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  constexpr size_t kStep = hn::MaxLanes(d64);
  using Floats = hn::Vec<decltype(d32)>;
  const Floats low = hn::Set(d32, lowest), high = hn::Set(d32, highest);

  hn::Vec<decltype(d64)> sums[kLanes / kStep];
  for (auto& sum : sums) sum = hn::Zero(d64);
  // kLanes elements at a time.
  const auto add = [&](const float* q_here, const float* values_here, const float* dy_here,
                       float* dx_here) HWY_ATTR {
    for (size_t k = 0; k < kLanes / kStep; ++k) {
      const Floats quotient = hn::LoadU(d32, q_here + k * kStep);
      const Floats grad = hn::LoadU(d32, dy_here + k * kStep);
      const auto below = hn::Lt(quotient, low), above = hn::Gt(quotient, high);
      const auto inside = hn::And(hn::Ge(quotient, low), hn::Le(quotient, high));  // no NaN
      hn::StoreU(hn::IfThenElseZero(inside, grad), d32, dx_here + k * kStep);
      Floats factor = hn::IfThenElseZero(inside, hn::Sub(hn::LoadU(d32, values_here + k * kStep), quotient));
      factor = hn::IfThenElse(above, high, hn::IfThenElse(below, low, factor));
      const Floats counted = hn::IfThenZeroElse(hn::IsNaN(quotient), grad);
      // The product of two floats is exact in double: fused or not, the same bits.
      sums[k] = hn::MulAdd(hn::PromoteTo(d64, counted), hn::PromoteTo(d64, factor), sums[k]);
    }
  };
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) add(q + i, values + i, dy + i, dx + i);
  if (i < n) {
    float few[4][kLanes] = {};  // of 0, with a gradient of 0
    std::copy(q + i, q + n, few[0]);
    std::copy(values + i, values + n, few[1]);
    std::copy(dy + i, dy + n, few[2]);
    add(few[0], few[1], few[2], few[3]);
    std::copy_n(few[3], n - i, dx + i);
  }
  HWY_ALIGN double lanes[kLanes];
  for (size_t k = 0; k < kLanes / kStep; ++k) hn::Store(sums[k], d64, lanes + k * kStep);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(FakeQuantizeFloats);
HWY_EXPORT(FakeQuantizeIntegers);
HWY_EXPORT(QuantizeFloats);
HWY_EXPORT(QuantizeIntegers);
HWY_EXPORT(DivideFloats);
HWY_EXPORT(RoundToIntegers);
HWY_EXPORT(IntegersToCodes);
HWY_EXPORT(CodesToValues);
HWY_EXPORT(MultiplyFloats);
HWY_EXPORT(ScaleFloats);
HWY_EXPORT(BackwardFloats);

namespace quant_internal {

void FakeQuantizeRow(const FloatGrid& grid, const float* x, float scale, float* y, size_t n,
                     bool past_cache) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeFloats)(grid, x, scale, y, n, past_cache);
}
void FakeQuantizeRow(const IntegerGrid& grid, const float* x, float scale, float* y, size_t n,
                     bool past_cache) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeIntegers)(grid, x, scale, y, n, past_cache);
}
bool QuantizeRow(const FloatGrid& grid, const float* x, float scale, uint8_t* codes, size_t n) {
  return HWY_DYNAMIC_DISPATCH(QuantizeFloats)(grid, x, scale, codes, n);
}
bool QuantizeRow(const IntegerGrid& grid, const float* x, float scale, uint8_t* codes, size_t n) {
  return HWY_DYNAMIC_DISPATCH(QuantizeIntegers)(grid, x, scale, codes, n);
}
void DivideRow(const float* x, float scale, float* q, size_t n) {
  HWY_DYNAMIC_DISPATCH(DivideFloats)(x, scale, q, n);
}
void RoundIntegers(const IntegerGrid& grid, Rounding rounding, const uint32_t* random, float* values,
                   size_t n) {
  HWY_DYNAMIC_DISPATCH(RoundToIntegers)(grid, rounding, random, values, n);
}
void CodesOfIntegers(const float* values, int zero_point, uint8_t* codes, size_t n) {
  HWY_DYNAMIC_DISPATCH(IntegersToCodes)(values, zero_point, codes, n);
}
void ValuesOfCodes(const uint8_t* codes, int zero_point, float* values, size_t n) {
  HWY_DYNAMIC_DISPATCH(CodesToValues)(codes, zero_point, values, n);
}
void MultiplyRow(const float* x, const float* values, float scale, float* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(MultiplyFloats)(x, values, scale, y, n);
}
void ScaleRow(float scale, float* values, size_t n) { HWY_DYNAMIC_DISPATCH(ScaleFloats)(scale, values, n); }
double BackwardBlock(const float* q, const float* values, const float* dy, float lowest, float highest,
                     float* dx, size_t n) {
  return HWY_DYNAMIC_DISPATCH(BackwardFloats)(q, values, dy, lowest, highest, dx, n);
}

}  // namespace quant_internal
}  // namespace halftone
#endif  // HWY_ONCE
