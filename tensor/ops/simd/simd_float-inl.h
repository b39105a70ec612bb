// Vectors of float over float, half and bfloat16 in memory, for the kernels of tensor/ops. Every result has
// the bits of the value types' own conversions, on every instruction set.
//
// Included by kernels once per instruction set, inside no namespace.
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "tensor/dtype.h"

#if defined(HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#undef HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#else
#define HALFTONE_TENSOR_OPS_SIMD_SIMD_FLOAT_INL_H_
#endif

// From AVX2 on, Highway's own binary16 conversions are the F16C instructions. Elsewhere Highway 1.0.3
// truncates, and turns infinities and NaNs into numbers.
#undef HALFTONE_NATIVE_HALF
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)
#define HALFTONE_NATIVE_HALF 1
#else
#define HALFTONE_NATIVE_HALF 0
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that 16 channels are a whole number of vectors on every instruction set.
using FloatTag = hn::CappedTag<float, 16>;
using OneFloatTag = hn::CappedTag<float, 1>;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* HWY_RESTRICT from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const bfloat16* HWY_RESTRICT from) {
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::PromoteTo(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const half* HWY_RESTRICT from) {
#if HALFTONE_NATIVE_HALF
  const hn::Rebind<hwy::float16_t, D> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(from)));
#else
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::PromoteTo(di, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(di, 0x7fff)));
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(di, 0x8000)));
  const auto infinity = hn::Set(di, 0x7c00 << 13);

  // Moves the exponent's bias from 15 to 127; infinities and NaNs go to the highest exponent.
  const auto normal = hn::Add(magnitude, hn::Set(di, 112 << 23));
  const auto special = hn::Add(magnitude, hn::Set(di, 224 << 23));
  const auto quiet = hn::IfThenElseZero(hn::Gt(magnitude, infinity), hn::Set(di, 0x400000));

  // A subnormal's mantissa under the exponent of 2^-14 is 2^-14 too much.
  const auto magic = hn::BitCast(d, hn::Set(di, 113 << 23));
  const auto excess = hn::BitCast(d, hn::Add(magnitude, hn::Set(di, 113 << 23)));
  const auto subnormal = hn::BitCast(di, hn::Sub(excess, magic));

  const auto number = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x400 << 13)), subnormal, normal);
  const auto code = hn::IfThenElse(hn::Lt(magnitude, infinity), number, hn::Or(special, quiet));
  return hn::BitCast(d, hn::Or(code, sign));
#endif
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, float* HWY_RESTRICT to) {
  hn::StoreU(x, d, to);
}

// To nearest even (Highway 1.0.3 truncates); a NaN keeps its sign and becomes quiet.
template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, bfloat16* HWY_RESTRICT to) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> d16;
  (void)d;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
  const auto code = hn::ShiftRight<16>(hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), quiet, rounded));
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, code)), d16, reinterpret_cast<uint16_t*>(to));
}

template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, half* HWY_RESTRICT to) {
#if HALFTONE_NATIVE_HALF
  const hn::Rebind<hwy::float16_t, D> d16;
  (void)d;
  hn::StoreU(hn::DemoteTo(d16, x), d16, reinterpret_cast<hwy::float16_t*>(to));
#else
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> d16;
  const auto bits = hn::BitCast(di, x);
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7fffffff));

  // Rounds at bit 13 and moves the exponent's bias from 127 to 15; what overflows becomes infinity.
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
  const auto rounded = hn::Add(magnitude, hn::Add(odd, hn::Set(di, 0xfff - (112 << 23))));
  const auto normal = hn::Min(hn::ShiftRight<13>(rounded), hn::Set(di, 0x7c00));

  // One unit of 0.5f is 2^-24, that of half's subnormals, so adding 0.5f rounds to it.
  const auto magic = hn::Set(d, 0.5f);
  const auto sum = hn::BitCast(di, hn::Add(hn::BitCast(d, magnitude), magic));
  const auto subnormal = hn::Sub(sum, hn::BitCast(di, magic));

  const auto payload = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 0x3ff));
  const auto nan = hn::Or(payload, hn::Set(di, 0x7e00));

  const auto number = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 113 << 23)), subnormal, normal);
  const auto code = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7f800000)), nan, number);
  const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0x8000));
  hn::StoreU(hn::DemoteTo(d16, hn::Or(code, sign)), d16, reinterpret_cast<uint16_t*>(to));
#endif
}

// Calls f(d, i) for consecutive i that cover [0, n): vectors first, then one element at a time.
template <class F>
HWY_INLINE void ForVectors(size_t n, const F& f) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) f(d, i);
  const OneFloatTag d1;
  for (; i < n; ++i) f(d1, i);
}

// Calls f(T()) for a dtype of 16 or 32 bits.
template <class F>
HWY_INLINE void VisitStorage(DType dtype, const F& f) {
  if (dtype == DType::kF16) {
    f(half());
  } else if (dtype == DType::kBF16) {
    f(bfloat16());
  } else {
    HALFTONE_CHECK(dtype == DType::kF32);
    f(float());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
