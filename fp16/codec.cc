#include "fp16/codec.h"

#include <algorithm>
#include <type_traits>

#include "base/check.h"
#include "fp16/bfloat16.h"
#include "fp16/codec_parameters.h"
#include "fp16/convert.h"
#include "fp16/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fp16/codec.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace halftone {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<uint32_t>;
using Lanes32 = hn::Vec<Tag>;
using SignedTag = hn::RebindToSigned<Tag>;

// Where a > b. Both below 2^31, as nearly all numbers here are: comparing unsigned ones takes more on x86.
HWY_INLINE hn::Mask<Tag> Greater(Lanes32 a, Lanes32 b) {
  const SignedTag di;
  return hn::RebindMask(Tag(), hn::Gt(hn::BitCast(di, a), hn::BitCast(di, b)));
}

HWY_INLINE Lanes32 LargerOf(Lanes32 a, Lanes32 b) {  // as integers with sign
  const SignedTag di;
  return hn::BitCast(Tag(), hn::Max(hn::BitCast(di, a), hn::BitCast(di, b)));
}

// All ones where the sign bit is set.
HWY_INLINE Lanes32 Negative(Lanes32 bits) {
  return hn::BitCast(Tag(), hn::BroadcastSignBit(hn::BitCast(SignedTag(), bits)));
}

// significand / 2^shift, rounded to an integer; significand < 2^24, shift >= 1. As
// format_internal::RoundsAway, but what is added comes before the shift.
template <Rounding kRounding>
HWY_INLINE Lanes32 ShiftRounded(Lanes32 significand, Lanes32 shift, Lanes32 negative, Lanes32 random) {
  const Tag d;
  const Lanes32 one = hn::Set(d, 1);
  // From 25 on nothing changes any more, but for stochastic rounding.
  const Lanes32 few = hn::Min(shift, hn::Set(d, 30));
  const Lanes32 below_unit = hn::Sub(hn::Shl(one, few), one);
  if constexpr (kRounding == Rounding::kTowardZero) return hn::Shr(significand, few);
  if constexpr (kRounding == Rounding::kNearestEven) {
    const Lanes32 odd = hn::And(hn::Shr(significand, few), one);
    const Lanes32 below_half = hn::ShiftRight<1>(below_unit);
    return hn::Shr(hn::Add(significand, hn::Add(below_half, odd)), few);
  }
  if constexpr (kRounding == Rounding::kNearestAway) {
    return hn::Shr(hn::Add(significand, hn::Add(hn::ShiftRight<1>(below_unit), one)), few);
  }
  if constexpr (kRounding == Rounding::kUp) {
    return hn::Shr(hn::Add(significand, hn::AndNot(negative, below_unit)), few);
  }
  if constexpr (kRounding == Rounding::kDown) {
    return hn::Shr(hn::Add(significand, hn::And(negative, below_unit)), few);
  }
  const Lanes32 quotient = hn::Shr(significand, few);
  const Lanes32 rest = hn::And(significand, below_unit);
  if constexpr (kRounding == Rounding::kToOdd) {
    return hn::Or(quotient, hn::IfThenElseZero(Greater(rest, hn::Zero(d)), one));
  }
  // Stochastic: rest / 2^shift * 2^32, rounded up.
  const Lanes32 word = hn::Set(d, 32);
  const Lanes32 left = LargerOf(hn::Sub(word, shift), hn::Zero(d));
  const Lanes32 right = hn::Min(LargerOf(hn::Sub(shift, word), hn::Zero(d)), hn::Set(d, 30));
  const Lanes32 up = hn::Sub(hn::Shl(one, right), one);
  const Lanes32 threshold = hn::Shr(hn::Add(hn::Shl(rest, left), up), right);
  // Either may be 2^31 or more: compared as integers with sign, in the same order.
  const Lanes32 flip = hn::Set(d, 0x80000000u);
  return hn::Add(quotient, hn::IfThenElseZero(Greater(hn::Xor(threshold, flip), hn::Xor(random, flip)), one));
}

// The codes of floats.
template <Rounding kRounding>
HWY_INLINE Lanes32 EncodeLanes(const EncodeParameters& p, Lanes32 bits, Lanes32 random) {
  const Tag d;
  const Lanes32 zero = hn::Zero(d), one = hn::Set(d, 1);
  const Lanes32 infinity = hn::Set(d, 0x7f800000);
  const Lanes32 negative = Negative(bits);
  const Lanes32 magnitude = hn::And(bits, hn::Set(d, 0x7fffffff));

  const Lanes32 exponent = hn::ShiftRight<23>(magnitude);
  const Lanes32 leading = hn::IfThenElseZero(Greater(exponent, zero), hn::Set(d, 0x800000));
  const Lanes32 significand = hn::Or(hn::And(magnitude, hn::Set(d, 0x7fffff)), leading);
  // The format's biased exponent less one; below 0 the result is subnormal and drops more bits.
  const Lanes32 to_exponent = hn::Sub(hn::Max(exponent, one), hn::Set(d, p.exponent_offset));
  const Lanes32 normal_exponent = LargerOf(to_exponent, zero);
  const Lanes32 shift = hn::Add(hn::Set(d, p.dropped_bits), hn::Sub(normal_exponent, to_exponent));
  // The leading one, and the carry of rounding up, add themselves to the exponent.
  const Lanes32 finite = hn::Add(hn::ShiftLeftSame(normal_exponent, p.mantissa_bits),
                                 ShiftRounded<kRounding>(significand, shift, negative, random));

  const Lanes32 beyond = hn::Xor(hn::Set(d, p.beyond_positive),
                                 hn::And(negative, hn::Set(d, p.beyond_positive ^ p.beyond_negative)));
  Lanes32 code = hn::IfThenElse(Greater(finite, hn::Set(d, p.largest)), beyond, finite);
  code = hn::IfThenElse(hn::Eq(magnitude, infinity), hn::Set(d, p.infinity), code);
  const Lanes32 sign = hn::IfThenElse(hn::Eq(code, zero), hn::Set(d, p.zero_sign), hn::Set(d, p.sign));
  code = hn::Or(code, hn::And(negative, sign));
  // In a format without sign what is less than zero.
  const Lanes32 lost_sign = hn::And(hn::And(magnitude, negative), hn::Set(d, p.lost_sign));
  code = hn::IfThenElse(Greater(lost_sign, zero), hn::Set(d, p.less_than_zero), code);
  const Lanes32 payload = hn::And(hn::ShiftRightSame(magnitude, p.dropped_bits), hn::Set(d, p.nan_payload));
  const Lanes32 nan = hn::Or(hn::Or(payload, hn::Set(d, p.nan)), hn::And(negative, hn::Set(d, p.nan_sign)));
  return hn::IfThenElse(Greater(magnitude, infinity), nan, code);
}

// The floats of codes.
HWY_INLINE Lanes32 DecodeLanes(const DecodeParameters& p, Lanes32 code) {
  const Tag d;
  const Lanes32 magnitude = hn::And(code, hn::Set(d, p.magnitude_mask));
  const Lanes32 shifted = hn::ShiftLeftSame(magnitude, p.added_bits);
  const Lanes32 normal = hn::Add(shifted, hn::Set(d, p.exponent_offset));
  // A subnormal's mantissa as a float is too much by a power of two; zero would be too.
  const auto as_float = hn::ConvertTo(hn::RebindToFloat<Tag>(), hn::BitCast(SignedTag(), magnitude));
  const Lanes32 subnormal = hn::IfThenElseZero(
      Greater(magnitude, hn::Zero(d)), hn::Sub(hn::BitCast(d, as_float), hn::Set(d, p.subnormal_offset)));
  Lanes32 result = hn::IfThenElse(Greater(hn::Set(d, p.smallest_normal), magnitude), subnormal, normal);
  result = hn::IfThenElse(hn::Eq(magnitude, hn::Set(d, p.infinity)), hn::Set(d, 0x7f800000), result);
  const Lanes32 nan = hn::Or(hn::Set(d, 0x7fc00000), hn::And(shifted, hn::Set(d, p.nan_payload)));
  const hn::Mask<Tag> is_nan =
      hn::Or(Greater(magnitude, hn::Set(d, p.largest_number)), hn::Eq(code, hn::Set(d, p.nan_code)));
  const hn::Mask<Tag> is_negative = Greater(hn::And(code, hn::Set(d, p.sign)), hn::Zero(d));
  return hn::Or(hn::IfThenElse(is_nan, nan, result),
                hn::IfThenElseZero(is_negative, hn::Set(d, 0x80000000u)));
}

HWY_INLINE Lanes32 Load(const float* from) {
  return hn::BitCast(Tag(), hn::LoadU(hn::RebindToFloat<Tag>(), from));
}

template <typename Code>
HWY_INLINE Lanes32 Load(const Code* from) {
  return hn::PromoteTo(Tag(), hn::LoadU(hn::Rebind<Code, Tag>(), from));
}

HWY_INLINE void Store(Lanes32 bits, float* to) {
  const hn::RebindToFloat<Tag> df;
  hn::StoreU(hn::BitCast(df, bits), df, to);
}

template <typename Code>
HWY_INLINE void Store(Lanes32 codes, Code* to) {
  const hn::Rebind<Code, Tag> narrow;
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(SignedTag(), codes)), narrow, to);
}

// to[i] = f(from[i], random[i]) a vector at a time. The last one overlaps the one before; in place that is no
// harm, for no f here changes what it has made.
template <bool kRandom, typename From, typename To, class F>
HWY_INLINE void Map(const From* from, const uint32_t* random, To* to, size_t n, F f) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  const auto at = [&](const From* from_here, const uint32_t* random_here, To* to_here) HWY_ATTR {
    Store(f(Load(from_here), kRandom ? hn::LoadU(d, random_here) : hn::Zero(d)), to_here);
  };
  const auto at_index = [&](size_t i) HWY_ATTR { at(from + i, kRandom ? random + i : nullptr, to + i); };
  if (n < lanes) {
    From few[hn::MaxLanes(Tag())] = {};
    uint32_t few_random[hn::MaxLanes(Tag())] = {};
    To results[hn::MaxLanes(Tag())];
    std::copy_n(from, n, few);
    if constexpr (kRandom) std::copy_n(random, n, few_random);
    at(few, few_random, results);
    std::copy_n(results, n, to);
    return;
  }
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) at_index(i);
  if (i < n) at_index(n - lanes);
}

// Calls body with the rounding as a constant.
template <class Body>
HWY_INLINE void WithRounding(Rounding rounding, Body body) {
  switch (rounding) {
    case Rounding::kNearestEven:
      return body(std::integral_constant<Rounding, Rounding::kNearestEven>());
    case Rounding::kNearestAway:
      return body(std::integral_constant<Rounding, Rounding::kNearestAway>());
    case Rounding::kTowardZero:
      return body(std::integral_constant<Rounding, Rounding::kTowardZero>());
    case Rounding::kUp:
      return body(std::integral_constant<Rounding, Rounding::kUp>());
    case Rounding::kDown:
      return body(std::integral_constant<Rounding, Rounding::kDown>());
    case Rounding::kToOdd:
      return body(std::integral_constant<Rounding, Rounding::kToOdd>());
    case Rounding::kStochastic:
      return body(std::integral_constant<Rounding, Rounding::kStochastic>());
  }
}

template <typename Code>
void EncodeArray(const EncodeParameters& p, const float* from, const uint32_t* random, Code* to, size_t n) {
  WithRounding(p.rounding, [&](auto rounding) HWY_ATTR {
    constexpr Rounding kRounding = decltype(rounding)::value;
    Map<kRounding == Rounding::kStochastic>(from, random, to, n, [&](Lanes32 bits, Lanes32 r) HWY_ATTR {
      return EncodeLanes<kRounding>(p, bits, r);
    });
  });
}

template <typename Code>
void DecodeArray(const DecodeParameters& p, const Code* from, float* to, size_t n) {
  Map<false>(from, nullptr, to, n, [&](Lanes32 codes, Lanes32) HWY_ATTR { return DecodeLanes(p, codes); });
}

}  // namespace

void EncodeTo8(const EncodeParameters& p, const float* from, const uint32_t* random, uint8_t* to, size_t n) {
  EncodeArray(p, from, random, to, n);
}
void EncodeTo16(const EncodeParameters& p, const float* from, const uint32_t* random, uint16_t* to,
                size_t n) {
  EncodeArray(p, from, random, to, n);
}
void DecodeFrom8(const DecodeParameters& p, const uint8_t* from, float* to, size_t n) {
  DecodeArray(p, from, to, n);
}
void DecodeFrom16(const DecodeParameters& p, const uint16_t* from, float* to, size_t n) {
  DecodeArray(p, from, to, n);
}
void Round(const EncodeParameters& encode, const DecodeParameters& decode, const float* from,
           const uint32_t* random, float* to, size_t n) {
  WithRounding(encode.rounding, [&](auto rounding) HWY_ATTR {
    constexpr Rounding kRounding = decltype(rounding)::value;
    Map<kRounding == Rounding::kStochastic>(from, random, to, n, [&](Lanes32 bits, Lanes32 r) HWY_ATTR {
      return DecodeLanes(decode, EncodeLanes<kRounding>(encode, bits, r));
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone {

HWY_EXPORT(EncodeTo8);
HWY_EXPORT(EncodeTo16);
HWY_EXPORT(DecodeFrom8);
HWY_EXPORT(DecodeFrom16);
HWY_EXPORT(Round);

namespace {

// Random bits are made for this many values at a time.
constexpr size_t kBlock = 512;

// Calls body(begin, size, random bits) for [0, n): at once where no bits have to be made.
template <class Body>
void ForEachBlock(size_t n, Rounding rounding, const RandomBits& random, Body body) {
  HALFTONE_CHECK(rounding != Rounding::kStochastic || !random.empty());
  if (rounding != Rounding::kStochastic) return body(size_t{0}, n, nullptr);
  uint32_t buffer[kBlock];
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t size = std::min(kBlock, n - begin);
    body(begin, size, random.Get(begin, size, buffer));
  }
}

void EncodeVectors(const EncodeParameters& p, const float* from, const uint32_t* random, uint8_t* to,
                   size_t n) {
  HWY_DYNAMIC_DISPATCH(EncodeTo8)(p, from, random, to, n);
}
void EncodeVectors(const EncodeParameters& p, const float* from, const uint32_t* random, uint16_t* to,
                   size_t n) {
  HWY_DYNAMIC_DISPATCH(EncodeTo16)(p, from, random, to, n);
}
void DecodeVectors(const DecodeParameters& p, const uint8_t* from, float* to, size_t n) {
  HWY_DYNAMIC_DISPATCH(DecodeFrom8)(p, from, to, n);
}
void DecodeVectors(const DecodeParameters& p, const uint16_t* from, float* to, size_t n) {
  HWY_DYNAMIC_DISPATCH(DecodeFrom16)(p, from, to, n);
}

// Whether the codes are those of `other`.
bool SameCodes(const FloatFormat& format, const FloatFormat& other) {
  return format.exponent_bits == other.exponent_bits && format.mantissa_bits == other.mantissa_bits &&
         format.bias == other.bias && format.has_sign == other.has_sign &&
         format.has_infinity == other.has_infinity && format.nan_codes == other.nan_codes;
}

// By fp16/convert.h, where that does it.
bool ConvertIfCan(const FloatFormat&, const float*, uint8_t*, size_t) { return false; }
bool ConvertIfCan(const FloatFormat& format, const float* from, uint16_t* to, size_t n) {
  if (SameCodes(format, kFloat16)) return Convert(from, reinterpret_cast<half*>(to), n), true;
  if (SameCodes(format, kBfloat16)) return Convert(from, reinterpret_cast<bfloat16*>(to), n), true;
  return false;
}
bool ConvertIfCan(const FloatFormat&, const uint8_t*, float*, size_t) { return false; }
// Not from bfloat16, whose widening leaves signalling NaNs as they are.
bool ConvertIfCan(const FloatFormat& format, const uint16_t* from, float* to, size_t n) {
  if (SameCodes(format, kFloat16)) return Convert(reinterpret_cast<const half*>(from), to, n), true;
  return false;
}

template <typename Value, typename Code>
void EncodeSpan(const FloatFormat& format, absl::Span<const Value> values, Rounding rounding,
                Overflow overflow, absl::Span<Code> codes, const RandomBits& random) {
  HALFTONE_CHECK(values.size() == codes.size());
  HALFTONE_CHECK(format.bits() <= 8 * static_cast<int>(sizeof(Code)));
  if (values.empty()) return;
  if constexpr (std::is_same_v<Value, float>) {
    const bool as_convert = rounding == Rounding::kNearestEven && overflow == Overflow::kInfinity;
    if (as_convert && ConvertIfCan(format, values.data(), codes.data(), values.size())) return;
    if (EncodesInLanes(format)) {
      const EncodeParameters parameters(format, rounding, overflow);
      ForEachBlock(values.size(), rounding, random, [&](size_t begin, size_t n, const uint32_t* bits) {
        EncodeVectors(parameters, values.data() + begin, bits, codes.data() + begin, n);
      });
      return;
    }
  }
  ForEachBlock(values.size(), rounding, random, [&](size_t begin, size_t n, const uint32_t* bits) {
    for (size_t i = 0; i < n; ++i) {
      codes[begin + i] = static_cast<Code>(
          Encode(format, values[begin + i], rounding, overflow, bits == nullptr ? 0 : bits[i]));
    }
  });
}

template <typename Code>
void DecodeSpan(const FloatFormat& format, absl::Span<const Code> codes, absl::Span<float> values) {
  HALFTONE_CHECK(values.size() == codes.size());
  HALFTONE_CHECK(format.bits() <= 8 * static_cast<int>(sizeof(Code)));
  if (codes.empty()) return;
  if (ConvertIfCan(format, codes.data(), values.data(), codes.size())) return;
  if (DecodesInLanes(format))
    return DecodeVectors(DecodeParameters(format), codes.data(), values.data(), codes.size());
  for (size_t i = 0; i < codes.size(); ++i) values[i] = static_cast<float>(Decode(format, codes[i]));
}

}  // namespace

const uint32_t* RandomBits::Get(size_t begin, size_t n, uint32_t* buffer) const {
  HALFTONE_CHECK(source_ != Source::kNone);
  if (source_ == Source::kBits) {
    HALFTONE_CHECK(begin + n <= bits_.size());
    return bits_.data() + begin;
  }
  rng_.Fill(first_ + begin, buffer, n);
  return buffer;
}

void EncodeAll(const FloatFormat& format, absl::Span<const float> values, Rounding rounding,
               Overflow overflow, absl::Span<uint8_t> codes, const RandomBits& random) {
  EncodeSpan(format, values, rounding, overflow, codes, random);
}
void EncodeAll(const FloatFormat& format, absl::Span<const float> values, Rounding rounding,
               Overflow overflow, absl::Span<uint16_t> codes, const RandomBits& random) {
  EncodeSpan(format, values, rounding, overflow, codes, random);
}
void EncodeAll(const FloatFormat& format, absl::Span<const double> values, Rounding rounding,
               Overflow overflow, absl::Span<uint8_t> codes, const RandomBits& random) {
  EncodeSpan(format, values, rounding, overflow, codes, random);
}
void EncodeAll(const FloatFormat& format, absl::Span<const double> values, Rounding rounding,
               Overflow overflow, absl::Span<uint16_t> codes, const RandomBits& random) {
  EncodeSpan(format, values, rounding, overflow, codes, random);
}

void DecodeAll(const FloatFormat& format, absl::Span<const uint8_t> codes, absl::Span<float> values) {
  DecodeSpan(format, codes, values);
}
void DecodeAll(const FloatFormat& format, absl::Span<const uint16_t> codes, absl::Span<float> values) {
  DecodeSpan(format, codes, values);
}

void RoundAll(const FloatFormat& format, absl::Span<const float> from, Rounding rounding, Overflow overflow,
              absl::Span<float> to, const RandomBits& random) {
  HALFTONE_CHECK(from.size() == to.size());
  HALFTONE_CHECK(format.bits() <= 16);
  if (from.empty()) return;
  if (EncodesInLanes(format) && DecodesInLanes(format)) {
    const EncodeParameters encode(format, rounding, overflow);
    const DecodeParameters decode(format);
    ForEachBlock(from.size(), rounding, random, [&](size_t begin, size_t n, const uint32_t* bits) {
      HWY_DYNAMIC_DISPATCH(Round)(encode, decode, from.data() + begin, bits, to.data() + begin, n);
    });
    return;
  }
  ForEachBlock(from.size(), rounding, random, [&](size_t begin, size_t n, const uint32_t* bits) {
    for (size_t i = 0; i < n; ++i) {
      const uint32_t code =
          Encode(format, from[begin + i], rounding, overflow, bits == nullptr ? 0 : bits[i]);
      to[begin + i] = static_cast<float>(Decode(format, code));
    }
  });
}

}  // namespace halftone
#endif  // HWY_ONCE
