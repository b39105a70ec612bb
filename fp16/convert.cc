#include "fp16/convert.h"

#include <cstdint>

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fp16/convert.cc"
#include "hwy/foreach_target.h"  // must come before highway.h

#include "fp16/float_vectors-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR  // no vectors: the value types do it

struct FloatToHalf {};
struct FloatToBfloat16 {};
struct ToFloat {};

template <class Kernel, typename From, typename To>
void ConvertAll(const From* HWY_RESTRICT from, To* HWY_RESTRICT to, size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = To(from[i]);
}

#else  // HWY_TARGET != HWY_SCALAR

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
    StoreFloats(hn::LoadU(d, from), d, to, store);
  }
};

// Both 16-bit types are read the same way.
struct ToFloat {
  using Tag = hn::ScalableTag<float>;

  template <class Store, class D, typename From>
  static HWY_INLINE void Convert(Store store, D d, const From* HWY_RESTRICT from, float* HWY_RESTRICT to) {
    store(LoadFloats(d, from), d, to);
  }
};

// Two vectors of floats make one of codes: quicker than narrowing each.
struct FloatToBfloat16 {
  using Tag = hn::ScalableTag<uint16_t>;

  template <class Store, class D>
  static HWY_INLINE void Convert(Store store, D d, const float* HWY_RESTRICT from,
                                 bfloat16* HWY_RESTRICT to) {
    const hn::RebindToFloat<hn::RepartitionToWide<D> > d32;
    const auto low = hn::BitCast(d, RoundToBfloat16(hn::LoadU(d32, from), d32));
    const auto high = hn::BitCast(d, RoundToBfloat16(hn::LoadU(d32, from + hn::Lanes(d32)), d32));
    store(hn::ConcatOdd(d, high, low), d, reinterpret_cast<uint16_t*>(to));
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

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace

void ConvertFloatToHalf(const float* from, half* to, size_t n) { ConvertAll<FloatToHalf>(from, to, n); }
void ConvertHalfToFloat(const half* from, float* to, size_t n) { ConvertAll<ToFloat>(from, to, n); }
void ConvertFloatToBfloat16(const float* from, bfloat16* to, size_t n) {
  ConvertAll<FloatToBfloat16>(from, to, n);
}
void ConvertBfloat16ToFloat(const bfloat16* from, float* to, size_t n) { ConvertAll<ToFloat>(from, to, n); }

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
