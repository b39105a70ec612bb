// Vectors rounded onto a grid (quant/grid.h), as values and as codes. Exactly the values and codes of Encode
// with Rounding::kNearestEven and Overflow::kSaturate (fp16/format.h), on every instruction set; of NaNs any.
//
// Included by kernels once per instruction set, inside no namespace.
#include <cstddef>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "quant/grid.h"

#if defined(HALFTONE_QUANT_GRID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_QUANT_GRID_INL_H_
#undef HALFTONE_QUANT_GRID_INL_H_
#else
#define HALFTONE_QUANT_GRID_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Kernels add element i to partial sum i % kLanes and the partial sums in order, so a vector of any length up
// to this gives the same bits; and blocks of 16 and 32 are whole vectors.
inline constexpr size_t kLanes = 16;
using FloatTag = hn::CappedTag<float, kLanes>;
using IntTag = hn::RebindToSigned<FloatTag>;
using FloatLanes = hn::Vec<FloatTag>;
using IntLanes = hn::Vec<IntTag>;

struct StoreInCache {
  HWY_INLINE void operator()(FloatLanes v, float* HWY_RESTRICT to) const { hn::StoreU(v, FloatTag(), to); }
};

struct StorePastCache {  // `to` is aligned to the vector
  HWY_INLINE void operator()(FloatLanes v, float* HWY_RESTRICT to) const { hn::Stream(v, FloatTag(), to); }
};

struct Magic {
  FloatLanes magnitude;  // at most the largest
  IntLanes exponent;     // its binade's, or the lowest
  FloatLanes magic;
};

HWY_INLINE Magic MagicOf(const quant_internal::FloatGrid grid, FloatLanes q) {
  const FloatTag d;
  const IntTag di;
  const FloatLanes magnitude = hn::Min(hn::Abs(q), hn::Set(d, grid.largest));
  const IntLanes exponent = hn::Max(hn::And(hn::BitCast(di, magnitude), hn::Set(di, 0x7f800000)),
                                    hn::Set(di, grid.lowest_exponent));
  return {magnitude, exponent, hn::BitCast(d, hn::Add(exponent, hn::Set(di, grid.to_magic)))};
}

HWY_INLINE FloatLanes RoundToValues(const quant_internal::FloatGrid grid, FloatLanes q) {
  const Magic m = MagicOf(grid, q);
  const FloatLanes rounded = hn::Sub(hn::Add(m.magnitude, m.magic), m.magic);
  return hn::Add(hn::CopySignToAbs(rounded, q), hn::Set(FloatTag(), grid.zero));
}

// The codes of magnitudes, in the lowest bytes.
HWY_INLINE IntLanes MagnitudeCodes(const quant_internal::FloatGrid grid, FloatLanes q) {
  const Magic m = MagicOf(grid, q);
  const IntLanes steps = hn::BitCast(IntTag(), hn::Add(m.magnitude, m.magic));
  return hn::Add(steps, hn::ShiftRightSame(m.exponent, grid.dropped_bits));
}

// In the lowest bytes.
HWY_INLINE IntLanes RoundToCodes(const quant_internal::SignedZeroGrid grid, FloatLanes q) {
  const IntTag di;
  const IntLanes sign = hn::And(hn::ShiftRightSame(hn::BitCast(di, q), grid.to_sign), hn::Set(di, grid.sign));
  return hn::Or(MagnitudeCodes(grid, q), sign);
}

HWY_INLINE IntLanes RoundToCodes(const quant_internal::FloatGrid grid, FloatLanes q) {
  const IntTag di;
  const IntLanes code = hn::And(MagnitudeCodes(grid, q), hn::Set(di, 0xff));
  const IntLanes sign =
      hn::IfThenElse(hn::Eq(code, hn::Zero(di)), hn::Set(di, grid.zero_sign), hn::Set(di, grid.sign));
  return hn::Or(code, hn::And(hn::BroadcastSignBit(hn::BitCast(di, q)), sign));
}

HWY_INLINE FloatLanes AddMagic(const quant_internal::IntegerGrid grid, FloatLanes q) {
  const FloatTag d;
  const FloatLanes clamped = hn::Min(hn::Max(q, hn::Set(d, grid.lowest)), hn::Set(d, grid.highest));
  return hn::Add(clamped, hn::Set(d, grid.magic));
}

// No -0.
HWY_INLINE FloatLanes RoundToValues(const quant_internal::IntegerGrid grid, FloatLanes q) {
  return hn::Sub(AddMagic(grid, q), hn::Set(FloatTag(), grid.magic));
}

HWY_INLINE IntLanes RoundToCodes(const quant_internal::IntegerGrid grid, FloatLanes q) {
  const IntTag di;
  return hn::Sub(hn::BitCast(di, AddMagic(grid, q)), hn::Set(di, grid.code_offset));
}

// The lowest byte of each.
HWY_INLINE void StoreCodes(IntLanes codes, uint8_t* HWY_RESTRICT to) {
  const hn::RebindToUnsigned<FloatTag> du;
  const hn::Rebind<uint8_t, FloatTag> narrow;
#if HWY_TARGET == HWY_AVX3_DL  // whose TruncateTo in Highway 1.0.3 takes the wrong bytes
  const IntTag di;
  hn::StoreU(hn::DemoteTo(narrow, hn::And(codes, hn::Set(di, 0xff))), narrow, to);
#else
  hn::StoreU(hn::TruncateTo(narrow, hn::BitCast(du, codes)), narrow, to);
#endif
}

// value * scale, finite; where x is not finite, x.
HWY_INLINE FloatLanes TimesScale(FloatLanes x, FloatLanes value, FloatLanes scale) {
  const FloatTag d;
  const FloatLanes most = hn::Set(d, std::numeric_limits<float>::max());
  const FloatLanes product = hn::Min(hn::Max(hn::Mul(value, scale), hn::Neg(most)), most);
  return hn::IfThenElse(hn::Le(hn::Abs(x), most), product, x);
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
