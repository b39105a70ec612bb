#include "quant/block_kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/block_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "quant/grid-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using quant_internal::BlockScales;
using quant_internal::E8m0Rule;
using quant_internal::FloatGrid;
using quant_internal::IntegerGrid;
using quant_internal::kInfinityBits;
using quant_internal::SignedZeroGrid;

// Calls body with the block's size as a constant: so short a loop is unrolled.
template <class Body>
HWY_INLINE auto WithBlock(size_t block, Body body) {
  if (block == 32) return body(std::integral_constant<size_t, 32>());
  return body(std::integral_constant<size_t, 16>());
}

// Fetches the block one run after x, which there may be or not: while a run is rounded memory has nothing to
// do, and while the next one's magnitudes are looked for the processor would wait.
template <size_t kBlock>
HWY_INLINE void PrefetchNextRun(const float* x) {
  const auto next = reinterpret_cast<uintptr_t>(x) + quant_internal::kRun * kBlock * sizeof(float);
  HWY_UNROLL(2)
  for (size_t byte = 0; byte < kBlock * sizeof(float); byte += 64) {
    hwy::Prefetch(reinterpret_cast<const char*>(next + byte));
  }
}

// By lane, the bits of the largest magnitude.
template <size_t kBlock>
HWY_INLINE IntLanes LargestByLane(const float* HWY_RESTRICT x) {
  const FloatTag d;
  const IntTag di;
  IntLanes most = hn::BitCast(di, hn::Abs(hn::LoadU(d, x)));
  HWY_UNROLL(8)
  for (size_t i = hn::Lanes(d); i < kBlock; i += hn::Lanes(d)) {
    most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  }
  return most;
}

#if HWY_TARGET != HWY_SCALAR

// to[i] = the largest of lanes i, i + 4, ...
template <class D>
HWY_INLINE void StoreLargestOfQuarters(D d, hn::Vec<D> v, int32_t* HWY_RESTRICT to) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    StoreLargestOfQuarters(half, hn::Max(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  } else {
    hn::StoreU(v, d, to);
  }
}

// Of four blocks at once: what reduces one vector to a lane reduces four to four. Returns the largest of them
// all, by lane.
template <size_t kBlock>
HWY_INLINE IntLanes FourMagnitudes(const float* HWY_RESTRICT x, int32_t* HWY_RESTRICT amax) {
  const IntTag di;
  const hn::Repartition<uint64_t, IntTag> d64;
  const auto pair = [&](const float* from) HWY_ATTR {
    const IntLanes a = LargestByLane<kBlock>(from), b = LargestByLane<kBlock>(from + kBlock);
    return hn::BitCast(d64, hn::Max(hn::InterleaveLower(di, a, b), hn::InterleaveUpper(di, a, b)));
  };
  const auto ab = pair(x), cd = pair(x + 2 * kBlock);
  const IntLanes lower = hn::BitCast(di, hn::InterleaveLower(d64, ab, cd));
  const IntLanes upper = hn::BitCast(di, hn::InterleaveUpper(d64, ab, cd));
  const IntLanes largest = hn::Max(lower, upper);
  StoreLargestOfQuarters(di, largest, amax);
  return largest;
}

#endif  // HWY_TARGET != HWY_SCALAR

template <size_t kBlock>
HWY_INLINE int32_t Magnitudes(const float* HWY_RESTRICT x, size_t blocks, int32_t* HWY_RESTRICT amax) {
  const IntTag di;
  IntLanes largest = hn::Zero(di);
  size_t b = 0;
#if HWY_TARGET != HWY_SCALAR
  for (; b + 4 <= blocks; b += 4)
    largest = hn::Max(largest, FourMagnitudes<kBlock>(x + b * kBlock, amax + b));
#endif
  for (; b < blocks; ++b) {
    const IntLanes one = LargestByLane<kBlock>(x + b * kBlock);
    amax[b] = hn::GetLane(hn::MaxOfLanes(di, one));
    largest = hn::Max(largest, one);
  }
  return hn::GetLane(hn::MaxOfLanes(di, largest));
}

template <size_t kBlock, class Grid>
HWY_INLINE void Encode(const Grid grid, const float* HWY_RESTRICT x, const float* HWY_RESTRICT factors,
                       size_t blocks, uint8_t* HWY_RESTRICT codes) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, codes += kBlock) {
    const FloatLanes factor = hn::Set(d, factors[b]);
    PrefetchNextRun<kBlock>(x);
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlock; i += lanes) {
      StoreCodes(RoundToCodes(grid, hn::Mul(hn::LoadU(d, x + i), factor)), codes + i);
    }
  }
}

template <size_t kBlock, class Store, class Grid>
HWY_INLINE void FakeQuantize(Store store, const Grid grid, const float* HWY_RESTRICT x,
                             const float* HWY_RESTRICT factors, const float* HWY_RESTRICT scales,
                             size_t blocks, float* HWY_RESTRICT y) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, y += kBlock) {
    const FloatLanes factor = hn::Set(d, factors[b]), scale = hn::Set(d, scales[b]);
    PrefetchNextRun<kBlock>(x);
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlock; i += lanes) {
      const FloatLanes v = hn::LoadU(d, x + i);
      store(TimesScale(v, RoundToValues(grid, hn::Mul(v, factor)), scale), y + i);
    }
  }
}

template <class Grid>
HWY_INLINE void EncodeAny(const Grid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                          uint8_t* codes) {
  WithBlock(block, [&](auto size) HWY_ATTR { Encode<size>(grid, x, factors, blocks, codes); });
}

template <class Grid>
HWY_INLINE void FakeQuantizeAny(const Grid& grid, const float* x, const float* factors, const float* scales,
                                size_t block, size_t blocks, float* y, bool past_cache) {
  // Highway streams 16 bytes at least.
  constexpr bool kCanStream = hn::MaxLanes(FloatTag()) >= 4;
  WithBlock(block, [&](auto size) HWY_ATTR {
    if (kCanStream && past_cache) {
      FakeQuantize<size>(StorePastCache(), grid, x, factors, scales, blocks, y);
    } else {
      FakeQuantize<size>(StoreInCache(), grid, x, factors, scales, blocks, y);
    }
  });
}

}  // namespace

int32_t MagnitudesOfBlocks(const float* x, size_t block, size_t blocks, int32_t* amax) {
  return WithBlock(block, [&](auto size) HWY_ATTR { return Magnitudes<size>(x, blocks, amax); });
}

void E8m0Scales(const E8m0Rule& rule, size_t blocks, BlockScales* s) {
  const FloatTag d;
  const IntTag di;
  const IntLanes last = hn::Set(di, 254), nan_code = hn::Set(di, 0xff);
  // 2^(code - 127). The first is where float's exponents end: 2^-127 is subnormal.
  const auto power = [&](IntLanes code) HWY_ATTR {
    const IntLanes bits =
        hn::IfThenElse(hn::Eq(code, hn::Zero(di)), hn::Set(di, 0x400000), hn::ShiftLeft<23>(code));
    return hn::BitCast(d, bits);
  };
  for (size_t b = 0; b < blocks; b += hn::Lanes(d)) {
    const IntLanes amax = hn::LoadU(di, s->amax + b);
    const FloatLanes rounded = hn::BitCast(d, hn::Add(amax, hn::Set(di, rule.add)));
    IntLanes exponent = hn::BitCast(di, hn::Div(rounded, hn::Set(d, rule.divide)));
    if (rule.up) {
      const auto above_lowest = hn::Gt(exponent, hn::Set(di, 0x400000));  // 2^-127
      exponent = hn::IfThenElseZero(above_lowest, hn::Add(exponent, hn::Set(di, 0x7fffff)));
    }
    exponent = hn::Sub(hn::ShiftRight<23>(exponent), hn::Set(di, rule.largest_exponent));
    const IntLanes number = hn::Min(hn::Max(exponent, hn::Zero(di)), last);
    const auto nan = hn::Gt(amax, hn::Set(di, kInfinityBits));
    StoreCodes(hn::IfThenElse(nan, nan_code, number), s->codes + b);
    hn::StoreU(power(hn::Sub(last, number)), d, s->factors + b);
    hn::StoreU(hn::IfThenElse(hn::RebindMask(d, nan), hn::NaN(d), power(number)), d, s->scales + b);
  }
}

void E4m3Scales(float tensor_scale, size_t blocks, BlockScales* s) {
  const FloatTag d;
  const IntTag di;
  constexpr int kDropped = 23 - 3;
  const FloatLanes g = hn::Set(d, tensor_scale), inverse = hn::Div(hn::Set(d, 1.0f), g);
  for (size_t b = 0; b < blocks; b += hn::Lanes(d)) {
    const IntLanes amax = hn::LoadU(di, s->amax + b);
    const auto nan = hn::Gt(amax, hn::Set(di, kInfinityBits));
    const FloatLanes number = hn::BitCast(d, hn::IfThenZeroElse(nan, amax));
    const FloatLanes wanted = hn::Div(hn::Div(number, hn::Set(d, 6.0f)), g);
    const FloatLanes scale = hn::Min(hn::Max(wanted, hn::Set(d, 0x1p-6f)), hn::Set(d, 448.0f));
    // Positive and normal: rounding it is rounding an integer.
    const IntLanes bits = hn::BitCast(di, scale);
    const IntLanes odd = hn::And(hn::ShiftRight<kDropped>(bits), hn::Set(di, 1));
    const IntLanes below_half = hn::Set(di, (1 << (kDropped - 1)) - 1);
    const IntLanes upper = hn::ShiftRight<kDropped>(hn::Add(bits, hn::Add(below_half, odd)));
    const FloatLanes rounded = hn::BitCast(d, hn::ShiftLeft<kDropped>(upper));
    const IntLanes code = hn::Sub(upper, hn::Set(di, (127 - 7) << 3));
    StoreCodes(hn::IfThenElse(nan, hn::Set(di, 0x7f), code), s->codes + b);
    hn::StoreU(hn::Div(inverse, rounded), d, s->factors + b);
    hn::StoreU(hn::IfThenElse(hn::RebindMask(d, nan), hn::NaN(d), hn::Mul(rounded, g)), d, s->scales + b);
  }
}

void EncodeFloatBlocks(const SignedZeroGrid& grid, const float* x, const float* factors, size_t block,
                       size_t blocks, uint8_t* codes) {
  EncodeAny(grid, x, factors, block, blocks, codes);
}
void EncodeIntegerBlocks(const IntegerGrid& grid, const float* x, const float* factors, size_t block,
                         size_t blocks, uint8_t* codes) {
  EncodeAny(grid, x, factors, block, blocks, codes);
}
void FakeQuantizeFloatBlocks(const FloatGrid& grid, const float* x, const float* factors, const float* scales,
                             size_t block, size_t blocks, float* y, bool past_cache) {
  FakeQuantizeAny(grid, x, factors, scales, block, blocks, y, past_cache);
}
void FakeQuantizeIntegerBlocks(const IntegerGrid& grid, const float* x, const float* factors,
                               const float* scales, size_t block, size_t blocks, float* y, bool past_cache) {
  FakeQuantizeAny(grid, x, factors, scales, block, blocks, y, past_cache);
}

void ScaleAllBlocks(const float* x, const float* factors, size_t block, size_t blocks, float* y) {
  const FloatTag d;
  for (size_t b = 0; b < blocks; ++b) {
    const FloatLanes factor = hn::Set(d, factors[b]);
    for (size_t i = b * block; i < (b + 1) * block; i += hn::Lanes(d)) {
      hn::StoreU(hn::Mul(hn::LoadU(d, x + i), factor), d, y + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(MagnitudesOfBlocks);
HWY_EXPORT(E8m0Scales);
HWY_EXPORT(E4m3Scales);
HWY_EXPORT(EncodeFloatBlocks);
HWY_EXPORT(EncodeIntegerBlocks);
HWY_EXPORT(FakeQuantizeFloatBlocks);
HWY_EXPORT(FakeQuantizeIntegerBlocks);
HWY_EXPORT(ScaleAllBlocks);

namespace quant_internal {

int32_t BlockMagnitudes(const float* x, size_t block, size_t blocks, int32_t* amax) {
  return HWY_DYNAMIC_DISPATCH(MagnitudesOfBlocks)(x, block, blocks, amax);
}
void MakeE8m0Scales(const E8m0Rule& rule, size_t blocks, BlockScales* s) {
  HWY_DYNAMIC_DISPATCH(E8m0Scales)(rule, blocks, s);
}
void MakeE4m3Scales(float tensor_scale, size_t blocks, BlockScales* s) {
  HWY_DYNAMIC_DISPATCH(E4m3Scales)(tensor_scale, blocks, s);
}
void EncodeBlocks(const SignedZeroGrid& grid, const float* x, const float* factors, size_t block,
                  size_t blocks, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeFloatBlocks)(grid, x, factors, block, blocks, codes);
}
void EncodeBlocks(const IntegerGrid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                  uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeIntegerBlocks)(grid, x, factors, block, blocks, codes);
}
void FakeQuantizeBlocks(const FloatGrid& grid, const float* x, const float* factors, const float* scales,
                        size_t block, size_t blocks, float* y, bool past_cache) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeFloatBlocks)(grid, x, factors, scales, block, blocks, y, past_cache);
}
void FakeQuantizeBlocks(const IntegerGrid& grid, const float* x, const float* factors, const float* scales,
                        size_t block, size_t blocks, float* y, bool past_cache) {
  HWY_DYNAMIC_DISPATCH(FakeQuantizeIntegerBlocks)(grid, x, factors, scales, block, blocks, y, past_cache);
}
void ScaleBlocks(const float* x, const float* factors, size_t block, size_t blocks, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleAllBlocks)(x, factors, block, blocks, y);
}

}  // namespace quant_internal
}  // namespace halftone
#endif  // HWY_ONCE
