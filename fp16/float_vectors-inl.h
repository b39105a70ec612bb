// Vectors of float over float, half and bfloat16 in memory: what bulk conversion and the kernels of other
// packages share. Every result has the bits of the value types' own conversions, on every instruction set.
//
// Included by kernels once per instruction set, inside no namespace.
#include <cstdint>

#include "fp16/bfloat16.h"
#include "fp16/half.h"
#include "hwy/highway.h"

#if defined(HALFTONE_FP16_FLOAT_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_FP16_FLOAT_VECTORS_INL_H_
#undef HALFTONE_FP16_FLOAT_VECTORS_INL_H_
#else
#define HALFTONE_FP16_FLOAT_VECTORS_INL_H_
#endif

// From AVX2 on, Highway's own binary16 conversions are the F16C instructions, which round and treat NaNs as
// we do. Elsewhere Highway 1.0.3 truncates, and it turns infinities and NaNs into numbers.
#undef HALFTONE_NATIVE_HALF
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)
#define HALFTONE_NATIVE_HALF 1
#else
#define HALFTONE_NATIVE_HALF 0
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// How a vector gets to memory: the default for StoreFloats below.
struct StoreInCache {
  template <class V, class D, typename T>
  HWY_INLINE void operator()(V v, D d, T* HWY_RESTRICT to) const {
    hn::StoreU(v, d, to);
  }
};

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

template <class D, class Store = StoreInCache>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, float* HWY_RESTRICT to, Store store = Store()) {
  store(x, d, to);
}

// The bfloat16 codes of x in the upper 16 bits of each lane. To nearest even (Highway 1.0.3 truncates); a NaN
// keeps its sign and becomes quiet.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> RoundToBfloat16(hn::Vec<D> x, D d) {
  const hn::RebindToUnsigned<D> du;
  (void)d;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
  return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), quiet, rounded);
}

template <class D, class Store = StoreInCache>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, bfloat16* HWY_RESTRICT to, Store store = Store()) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> d16;
  const auto code = hn::ShiftRight<16>(RoundToBfloat16(x, d));
  store(hn::DemoteTo(d16, hn::BitCast(di, code)), d16, reinterpret_cast<uint16_t*>(to));
}

template <class D, class Store = StoreInCache>
HWY_INLINE void StoreFloats(hn::Vec<D> x, D d, half* HWY_RESTRICT to, Store store = Store()) {
#if HALFTONE_NATIVE_HALF
  const hn::Rebind<hwy::float16_t, D> d16;
  (void)d;
  store(hn::DemoteTo(d16, x), d16, reinterpret_cast<hwy::float16_t*>(to));
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
  store(hn::DemoteTo(d16, hn::Or(code, sign)), d16, reinterpret_cast<uint16_t*>(to));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
