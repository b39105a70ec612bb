#include "fp16/convert.h"

#include <cstdint>

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fp16/convert.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR  // no vectors: the value types do it

struct FloatToHalf {};
struct HalfToFloat {};
struct FloatToBfloat16 {};
struct Bfloat16ToFloat {};

template <class Kernel, typename From, typename To>
void ConvertAll(const From* HWY_RESTRICT from, To* HWY_RESTRICT to, size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = To(from[i]);
}

#else  // HWY_TARGET != HWY_SCALAR

// From AVX2 on, Highway's own binary16 conversions are the F16C instructions, which round and treat NaNs as
// we do. Elsewhere Highway 1.0.3 truncates, and it turns infinities and NaNs into numbers.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)
#define HALFTONE_NATIVE_HALF 1
#else
#define HALFTONE_NATIVE_HALF 0
#endif

struct StoreInCache {
  template <class V, class D, typename T>
  HWY_INLINE void operator()(V v, D d, T* HWY_RESTRICT to) const {
    hn::StoreU(v, d, to);
  }
};

struct StorePastCache {  // `to` is aligned to the vector
  template <class V, class D, typename T>
  HWY_INLINE void operator()(V v, D d, T* HWY_RESTRICT to) const {
    hn::Stream(v, d, to);
  }
};

// Each kernel has Convert(store, d, from, to), for exactly Lanes(d) elements, and the widest such d.

struct FloatToHalf {
  using Tag = hn::ScalableTag<float>;

  template <class Store, class D>
  static HWY_INLINE void Convert(Store store, D d, const float* HWY_RESTRICT from, half* HWY_RESTRICT to) {
    const auto x = hn::LoadU(d, from);
#if HALFTONE_NATIVE_HALF
    const hn::Rebind<hwy::float16_t, D> d16;
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
};

struct HalfToFloat {
  using Tag = hn::ScalableTag<float>;

  template <class Store, class D>
  static HWY_INLINE void Convert(Store store, D d, const half* HWY_RESTRICT from, float* HWY_RESTRICT to) {
#if HALFTONE_NATIVE_HALF
    const hn::Rebind<hwy::float16_t, D> d16;
    store(hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(from))), d, to);
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
    store(hn::BitCast(d, hn::Or(code, sign)), d, to);
#endif
  }
};

struct FloatToBfloat16 {
  using Tag = hn::ScalableTag<uint16_t>;

  template <class Store, class D>
  static HWY_INLINE void Convert(Store store, D d, const float* HWY_RESTRICT from,
                                 bfloat16* HWY_RESTRICT to) {
    const hn::RepartitionToWide<D> d32;
    const auto low = hn::BitCast(d, Round(d32, from));
    const auto high = hn::BitCast(d, Round(d32, from + hn::Lanes(d32)));
    store(hn::ConcatOdd(d, high, low), d, reinterpret_cast<uint16_t*>(to));
  }

  // The codes in the upper 16 bits of each lane.
  template <class D32>
  static HWY_INLINE hn::Vec<D32> Round(D32 du, const float* HWY_RESTRICT from) {
    const hn::RebindToFloat<D32> df;
    const auto x = hn::LoadU(df, from);
    const auto bits = hn::BitCast(du, x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
    return hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(x)), quiet, rounded);
  }
};

struct Bfloat16ToFloat {
  using Tag = hn::ScalableTag<float>;

  template <class Store, class D>
  static HWY_INLINE void Convert(Store store, D d, const bfloat16* HWY_RESTRICT from,
                                 float* HWY_RESTRICT to) {
    const hn::RebindToUnsigned<D> du;
    const hn::Rebind<uint16_t, D> d16;
    const auto bits = hn::PromoteTo(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
    store(hn::BitCast(d, hn::ShiftLeft<16>(bits)), d, to);
  }
};

// n <= 2 Lanes(d): two vectors that overlap, the widest that fit.
template <class Kernel, class D, typename From, typename To>
HWY_INLINE void ConvertFew(D d, const From* HWY_RESTRICT from, To* HWY_RESTRICT to, size_t n) {
  const size_t lanes = hn::Lanes(d);
  if (n >= lanes) {
    Kernel::Convert(StoreInCache(), d, from, to);
    Kernel::Convert(StoreInCache(), d, from + n - lanes, to + n - lanes);
  } else if constexpr (hn::MaxLanes(D()) > 4) {
    ConvertFew<Kernel>(hn::Half<D>(), from, to, n);
  } else {
    for (size_t i = 0; i < n; ++i) to[i] = To(from[i]);
  }
}

// Whole vectors from i on; returns where they end.
template <class Kernel, class Store, typename From, typename To>
HWY_INLINE size_t ConvertVectors(Store store, const From* HWY_RESTRICT from, To* HWY_RESTRICT to, size_t i,
                                 size_t n) {
  const typename Kernel::Tag d;
  const size_t lanes = hn::Lanes(d);
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    Kernel::Convert(store, d, from + i, to + i);
    Kernel::Convert(store, d, from + i + lanes, to + i + lanes);
    Kernel::Convert(store, d, from + i + 2 * lanes, to + i + 2 * lanes);
    Kernel::Convert(store, d, from + i + 3 * lanes, to + i + 3 * lanes);
  }
  for (; i + lanes <= n; i += lanes) Kernel::Convert(store, d, from + i, to + i);
  return i;
}

// Reading and writing this many bytes goes beyond what a core may hope to keep of the last-level cache. Then
// stores past the cache are up to half as fast again, for the cache need not read what is overwritten.
constexpr size_t kPastCacheBytes = size_t{32} << 20;

template <class Kernel, typename From, typename To>
HWY_INLINE void ConvertAll(const From* HWY_RESTRICT from, To* HWY_RESTRICT to, size_t n) {
  const typename Kernel::Tag d;
  const size_t lanes = hn::Lanes(d);
  if (n <= 2 * lanes) return ConvertFew<Kernel>(d, from, to, n);

  size_t i = 0;
  const size_t vector_bytes = lanes * sizeof(To);
  const size_t misalignment = reinterpret_cast<uintptr_t>(to) % vector_bytes;
  if (misalignment != 0 && n >= 8 * lanes) {
    Kernel::Convert(StoreInCache(), d, from, to);
    i = (vector_bytes - misalignment) / sizeof(To);
  }
  // Highway streams 16 bytes at least.
  const bool can_stream = vector_bytes >= 16 && misalignment % sizeof(To) == 0;
  if (can_stream && n >= kPastCacheBytes / (sizeof(From) + sizeof(To))) {
    i = ConvertVectors<Kernel>(StorePastCache(), from, to, i, n);
    hwy::FlushStream();
  } else {
    i = ConvertVectors<Kernel>(StoreInCache(), from, to, i, n);
  }
  // The last vector overlaps the one before: several times faster than a tail by way of a buffer.
  if (i < n) Kernel::Convert(StoreInCache(), d, from + n - lanes, to + n - lanes);
}

#undef HALFTONE_NATIVE_HALF
#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace

void ConvertFloatToHalf(const float* from, half* to, size_t n) { ConvertAll<FloatToHalf>(from, to, n); }
void ConvertHalfToFloat(const half* from, float* to, size_t n) { ConvertAll<HalfToFloat>(from, to, n); }
void ConvertFloatToBfloat16(const float* from, bfloat16* to, size_t n) {
  ConvertAll<FloatToBfloat16>(from, to, n);
}
void ConvertBfloat16ToFloat(const bfloat16* from, float* to, size_t n) {
  ConvertAll<Bfloat16ToFloat>(from, to, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(ConvertFloatToHalf);
HWY_EXPORT(ConvertHalfToFloat);
HWY_EXPORT(ConvertFloatToBfloat16);
HWY_EXPORT(ConvertBfloat16ToFloat);

void Convert(const float* from, half* to, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertFloatToHalf)(from, to, n); }

void Convert(const half* from, float* to, size_t n) { HWY_DYNAMIC_DISPATCH(ConvertHalfToFloat)(from, to, n); }

void Convert(const float* from, bfloat16* to, size_t n) {
  HWY_DYNAMIC_DISPATCH(ConvertFloatToBfloat16)(from, to, n);
}

void Convert(const bfloat16* from, float* to, size_t n) {
  HWY_DYNAMIC_DISPATCH(ConvertBfloat16ToFloat)(from, to, n);
}

}  // namespace halftone
#endif  // HWY_ONCE
