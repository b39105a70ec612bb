#include "quant/block_kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/block_kernels.cc"
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

// Calls body with the block's size as a constant: so short a loop is unrolled.
template <class Body>
HWY_INLINE void WithBlock(size_t block, Body body) {
  if (block == 32) {
    body(std::integral_constant<size_t, 32>());
  } else {
    body(std::integral_constant<size_t, 16>());
  }
}

template <size_t kBlock>
HWY_INLINE void Magnitudes(const float* HWY_RESTRICT x, size_t blocks, uint32_t* HWY_RESTRICT amax) {
  const FloatTag d;
  const IntTag di;
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < blocks; ++b, x += kBlock) {
    IntLanes most = hn::Zero(di);
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlock; i += lanes) {
      most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
    }
    amax[b] = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, most)));
  }
}

template <size_t kBlock, class Grid>
HWY_INLINE void Encode(const Grid grid, const float* HWY_RESTRICT x, const float* HWY_RESTRICT factors,
                       size_t blocks, uint8_t* HWY_RESTRICT codes) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, codes += kBlock) {
    const FloatLanes factor = hn::Set(d, factors[b]);
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlock; i += lanes) {
      StoreCodes(RoundToCodes(grid, hn::Mul(hn::LoadU(d, x + i), factor)), codes + i);
    }
  }
}

template <size_t kBlock, class Store, class Grid>
HWY_INLINE void FakeQuantize(Store store, const Grid grid, const float* HWY_RESTRICT x,
                             const float* HWY_RESTRICT factors, const float* HWY_RESTRICT scales, size_t blocks,
                             float* HWY_RESTRICT y) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, y += kBlock) {
    const FloatLanes factor = hn::Set(d, factors[b]), scale = hn::Set(d, scales[b]);
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

void MagnitudesOfBlocks(const float* x, size_t block, size_t blocks, uint32_t* amax) {
  WithBlock(block, [&](auto size) HWY_ATTR { Magnitudes<size>(x, blocks, amax); });
}

void EncodeFloatBlocks(const FloatGrid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                       uint8_t* codes) {
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
HWY_EXPORT(EncodeFloatBlocks);
HWY_EXPORT(EncodeIntegerBlocks);
HWY_EXPORT(FakeQuantizeFloatBlocks);
HWY_EXPORT(FakeQuantizeIntegerBlocks);
HWY_EXPORT(ScaleAllBlocks);

namespace quant_internal {

void BlockMagnitudes(const float* x, size_t block, size_t blocks, uint32_t* amax) {
  HWY_DYNAMIC_DISPATCH(MagnitudesOfBlocks)(x, block, blocks, amax);
}
void EncodeBlocks(const FloatGrid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                  uint8_t* codes) {
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
