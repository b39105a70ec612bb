#include "fp16/safety_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fp16/safety_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using safety_internal::BlockErrors;
using safety_internal::DoubleGrid;
using safety_internal::Exponents;
using safety_internal::FloatGrid;
using safety_internal::kBlock;

#if HWY_TARGET == HWY_SCALAR  // no vectors

Exponents ScanAll(const float* x, size_t n) {
  Exponents result;
  for (size_t i = 0; i < n; ++i) {
    const int field = static_cast<int>(std::bit_cast<uint32_t>(x[i]) << 1 >> 24);
    ++result.count[static_cast<size_t>(field)];
    result.highest = std::max(result.highest, field);
    if (field != 0) result.lowest = std::min(result.lowest, field);
  }
  return result;
}

#else  // HWY_TARGET != HWY_SCALAR

// Counts the bytes with each of the 16 values top, top - 1, ..., top - 15.
//
// A table of 16 bytes turns a byte into a nibble that is 1 where the byte has one of two values, so that a
// vector of bytes holds counters for two values. A nibble holds 15, as many as are added before the nibbles
// move to counters of a byte.
template <bool kMayExceedTop, class D>
void CountWindow(D d, const uint8_t* HWY_RESTRICT bytes, size_t n, int top, uint32_t* counts) {
  using V = hn::Vec<D>;
  const hn::Repartition<uint64_t, D> d64;
  const hn::Repartition<uint16_t, D> d16;
  HWY_ALIGN static constexpr uint8_t kTables[8][16] = {
      {0x01, 0x10},
      {0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x10},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x10}};
  const size_t lanes = hn::Lanes(d);
  const V top_value = hn::Set(d, static_cast<uint8_t>(top));
  // Takes a distance of 16 and more beyond 127, where lookups give 0, and leaves the low nibble of the
  // others.
  const V to_index = hn::Set(d, 0x70);
  const V low_nibbles = hn::Set(d, 0x0f);
  const auto table = [&](int j) HWY_ATTR { return hn::LoadDup128(d, kTables[j]); };
  const V t0 = table(0), t1 = table(1), t2 = table(2), t3 = table(3);
  const V t4 = table(4), t5 = table(5), t6 = table(6), t7 = table(7);
  V wide[16];
  for (V& w : wide) w = hn::Zero(d);
  for (size_t i = 0; i < n;) {
    V a0 = hn::Zero(d), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (const size_t end = std::min(n, i + 15 * lanes); i < end; i += lanes) {
      const V byte = hn::Load(d, bytes + i);
      V index = hn::SaturatedAdd(hn::Sub(top_value, byte), to_index);
      if constexpr (kMayExceedTop) index = hn::Or(index, hn::VecFromMask(d, hn::Gt(byte, top_value)));
      a0 = hn::Add(a0, hn::TableLookupBytesOr0(t0, index));
      a1 = hn::Add(a1, hn::TableLookupBytesOr0(t1, index));
      a2 = hn::Add(a2, hn::TableLookupBytesOr0(t2, index));
      a3 = hn::Add(a3, hn::TableLookupBytesOr0(t3, index));
      a4 = hn::Add(a4, hn::TableLookupBytesOr0(t4, index));
      a5 = hn::Add(a5, hn::TableLookupBytesOr0(t5, index));
      a6 = hn::Add(a6, hn::TableLookupBytesOr0(t6, index));
      a7 = hn::Add(a7, hn::TableLookupBytesOr0(t7, index));
    }
    const V nibbles[8] = {a0, a1, a2, a3, a4, a5, a6, a7};
    for (int j = 0; j < 8; ++j) {
      const V high = hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, nibbles[j])));
      wide[2 * j] = hn::Add(wide[2 * j], hn::And(nibbles[j], low_nibbles));
      wide[2 * j + 1] = hn::Add(wide[2 * j + 1], hn::And(high, low_nibbles));
    }
  }
  for (int j = 0; j < 16 && j <= top; ++j) {
    counts[top - j] += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(wide[j]))));
  }
}

Exponents ScanAll(const float* x, size_t n) {
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  const auto* bits = reinterpret_cast<const uint32_t*>(x);
  HWY_ALIGN uint8_t fields[kBlock];

  const auto mask0 = hn::Set(d, 0xff000000u), mask1 = hn::Set(d, 0x00ff0000u);
  const auto mask2 = hn::Set(d, 0x0000ff00u), mask3 = hn::Set(d, 0x000000ffu);
  const auto one = hn::Set(d8, 1);
  auto highest = hn::Zero(d8);
  auto lowest = hn::Set(d8, 255);  // less one, so that 0 is the highest
  // The order of the fields does not matter: those of four vectors fill the four bytes of each lane.
  for (size_t i = 0; i < n; i += 4 * lanes) {
    auto four = hn::And(hn::ShiftLeft<1>(hn::LoadU(d, bits + i)), mask0);
    four = hn::OrAnd(four, hn::ShiftRight<7>(hn::LoadU(d, bits + i + lanes)), mask1);
    four = hn::OrAnd(four, hn::ShiftRight<15>(hn::LoadU(d, bits + i + 2 * lanes)), mask2);
    four = hn::OrAnd(four, hn::ShiftRight<23>(hn::LoadU(d, bits + i + 3 * lanes)), mask3);
    const auto field = hn::BitCast(d8, four);
    hn::Store(field, d8, fields + i);
    highest = hn::Max(highest, field);
    lowest = hn::Min(lowest, hn::Sub(field, one));
  }

  HWY_ALIGN uint8_t ends[2][HWY_MAX_BYTES];
  hn::Store(highest, d8, ends[0]);
  hn::Store(lowest, d8, ends[1]);
  Exponents result;
  result.highest = *std::max_element(ends[0], ends[0] + hn::Lanes(d8));
  result.lowest = *std::min_element(ends[1], ends[1] + hn::Lanes(d8)) + 1;
  if (result.highest == 0) result.lowest = 256;

  int top = result.highest;
  if (top > 0) CountWindow<false>(d8, fields, n, top, result.count.data());
  for (top -= 16; top >= result.lowest; top -= 16) {
    CountWindow<true>(d8, fields, n, top, result.count.data());
  }
  // What a window counted below the lowest are zeros' fields, if it reached down to 0.
  result.count[0] = 0;
  uint32_t nonzero = 0;
  for (int field = 1; field <= result.highest; ++field) nonzero += result.count[static_cast<size_t>(field)];
  result.count[0] = static_cast<uint32_t>(n) - nonzero;
  return result;
}

#endif  // HWY_TARGET != HWY_SCALAR

float LargestMagnitude(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  auto largest = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i)));
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

float SmallestMagnitude(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  const auto infinity = hn::Inf(d);
  auto smallest = infinity;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    const auto magnitude = hn::IfThenElse(hn::Eq(v, hn::Zero(d)), infinity, hn::Abs(v));
    smallest = hn::Min(smallest, magnitude);
  }
  return hn::GetLane(hn::MinOfLanes(d, smallest));
}

template <class D>
HWY_INLINE hn::Vec<D> Reciprocal(D d, hn::Vec<D> x) {
  if constexpr (sizeof(hn::TFromD<D>) == 4 && HWY_ARCH_X86) {
    // One step of Newton's takes the instruction's 11 bits or more to 22.
    const auto r = hn::ApproximateReciprocal(x);
    return hn::Mul(r, hn::NegMulAdd(x, r, hn::Set(d, 2.0f)));
  } else {
    return hn::Div(hn::Set(d, 1), x);
  }
}

template <class D>
double SumLanes(D d, hn::Vec<D> v) {
  using T = hn::TFromD<D>;
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(v, d, lanes);
  double sum = 0;
  for (size_t i = 0; i < hn::Lanes(d); ++i) sum += lanes[i];
  return sum;
}

// What the formats share stays in registers.
template <size_t kFormats, bool kZeros, bool kSubnormals, typename T, class GridT>
void MeasureAll(const T* HWY_RESTRICT x, size_t n, const GridT* grids, BlockErrors* results) {
  const hn::ScalableTag<T> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  using V = hn::Vec<decltype(d)>;
  const size_t lanes = hn::Lanes(d);
  const auto exponent_mask = hn::BitCast(du, hn::Inf(d));
  const V zero = hn::Zero(d);

  V squares = zero;
  V relative[kFormats], largest[kFormats], squared_errors[kFormats];
  size_t exact[kFormats] = {}, below[kFormats] = {}, underflows[kFormats] = {};
  for (size_t f = 0; f < kFormats; ++f) relative[f] = largest[f] = squared_errors[f] = zero;
  for (size_t i = 0; i < n; i += lanes) {
    const V v = hn::LoadU(d, x + i);
    const V magnitude = hn::Abs(v);
    const auto exponent = hn::And(hn::BitCast(du, v), exponent_mask);
    squares = hn::MulAdd(v, v, squares);
    V reciprocal = Reciprocal(d, v);
    if constexpr (kZeros) reciprocal = hn::IfThenZeroElse(hn::Eq(v, zero), reciprocal);
    HWY_UNROLL(4)
    for (size_t f = 0; f < kFormats; ++f) {
      const auto spacing = hn::Max(exponent, hn::Set(du, grids[f].lowest_exponent));
      const V magic = hn::BitCast(d, hn::Add(spacing, hn::Set(du, grids[f].exponent_to_magic)));
      const V error = hn::Sub(v, hn::Sub(hn::Add(v, magic), magic));
      exact[f] += hn::CountTrue(d, hn::Eq(error, zero));
      squared_errors[f] = hn::MulAdd(error, error, squared_errors[f]);
      const V quotient = hn::Abs(hn::Mul(error, reciprocal));
      relative[f] = hn::Add(relative[f], quotient);
      largest[f] = hn::Max(largest[f], quotient);
      if constexpr (kSubnormals) {
        below[f] += hn::CountTrue(d, hn::Lt(magnitude, hn::Set(d, grids[f].subnormal_below)));
        underflows[f] += hn::CountTrue(d, hn::Le(magnitude, hn::Set(d, grids[f].underflow_to)));
      }
    }
  }
  const double sum_of_squares = SumLanes(d, squares);
  for (size_t f = 0; f < kFormats; ++f) {
    results[f] = {.exact = exact[f],
                  .subnormals = below[f] - underflows[f],
                  .underflows = underflows[f],
                  .relative = SumLanes(d, relative[f]),
                  .largest_relative = hn::GetLane(hn::MaxOfLanes(d, largest[f])),
                  .squared_errors = SumLanes(d, squared_errors[f]),
                  .squares = sum_of_squares};
  }
}

template <size_t kFormats, typename T, class GridT>
void MeasureSome(const T* x, size_t n, bool has_zeros, bool has_subnormals, const GridT* grids,
                 BlockErrors* results) {
  if (has_zeros) {
    has_subnormals ? MeasureAll<kFormats, true, true>(x, n, grids, results)
                   : MeasureAll<kFormats, true, false>(x, n, grids, results);
  } else {
    has_subnormals ? MeasureAll<kFormats, false, true>(x, n, grids, results)
                   : MeasureAll<kFormats, false, false>(x, n, grids, results);
  }
}

template <typename T, class GridT>
void MeasureFormats(const T* x, size_t n, bool has_zeros, bool has_subnormals, absl::Span<const GridT> grids,
                    absl::Span<BlockErrors> results) {
  static_assert(safety_internal::kFormatsAtOnce == 4);
  switch (grids.size()) {
    case 1:
      return MeasureSome<1>(x, n, has_zeros, has_subnormals, grids.data(), results.data());
    case 2:
      return MeasureSome<2>(x, n, has_zeros, has_subnormals, grids.data(), results.data());
    case 3:
      return MeasureSome<3>(x, n, has_zeros, has_subnormals, grids.data(), results.data());
    case 4:
      return MeasureSome<4>(x, n, has_zeros, has_subnormals, grids.data(), results.data());
  }
}

}  // namespace

Exponents ScanFloats(const float* x, size_t n) { return ScanAll(x, n); }
float MaxOfFloats(const float* x, size_t n) { return LargestMagnitude(x, n); }
float MinOfFloats(const float* x, size_t n) { return SmallestMagnitude(x, n); }

void MeasureFloats(const float* x, size_t n, bool has_zeros, bool has_subnormals,
                   absl::Span<const FloatGrid> grids, absl::Span<BlockErrors> results) {
  MeasureFormats(x, n, has_zeros, has_subnormals, grids, results);
}
void MeasureDoubles(const double* x, size_t n, bool has_zeros, bool has_subnormals,
                    absl::Span<const DoubleGrid> grids, absl::Span<BlockErrors> results) {
  MeasureFormats(x, n, has_zeros, has_subnormals, grids, results);
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(ScanFloats);
HWY_EXPORT(MaxOfFloats);
HWY_EXPORT(MinOfFloats);
HWY_EXPORT(MeasureFloats);
HWY_EXPORT(MeasureDoubles);

namespace safety_internal {

Exponents ScanExponents(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(ScanFloats)(x, n); }

float MaxMagnitude(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(MaxOfFloats)(x, n); }
float MinMagnitude(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(MinOfFloats)(x, n); }

void Measure(const float* x, size_t n, bool has_zeros, bool has_subnormals, absl::Span<const FloatGrid> grids,
             absl::Span<BlockErrors> results) {
  HWY_DYNAMIC_DISPATCH(MeasureFloats)(x, n, has_zeros, has_subnormals, grids, results);
}

void Measure(const double* x, size_t n, bool has_zeros, bool has_subnormals,
             absl::Span<const DoubleGrid> grids, absl::Span<BlockErrors> results) {
  HWY_DYNAMIC_DISPATCH(MeasureDoubles)(x, n, has_zeros, has_subnormals, grids, results);
}

}  // namespace safety_internal
}  // namespace halftone
#endif  // HWY_ONCE
