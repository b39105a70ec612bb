// Arrays to and from the codes of any FloatFormat of at most 16 bits: SIMD, the instruction set chosen at run
// time, one thread.
//
// Every element has exactly the bits that Encode and Decode (fp16/format.h) give, in every rounding and
// overflow mode, NaNs included, on every instruction set. Each depends on its own value and random bits
// alone, so an array may be cut into pieces anywhere.
//
//   std::vector<uint8_t> codes(values.size());
//   EncodeAll(kFloat8E4m3fn, values, Rounding::kNearestEven, Overflow::kSaturate, absl::MakeSpan(codes));
//   DecodeAll(kFloat8E4m3fn, codes, absl::MakeSpan(values));
//
//   // Elements [begin, end) of a tensor, stochastically: the same bits for any begin, end and thread.
//   RoundAll(kBfloat16, values.subspan(begin, end - begin), Rounding::kStochastic, Overflow::kInfinity,
//            rounded.subspan(begin, end - begin), RandomBits(rng, begin));
#ifndef HALFTONE_FP16_CODEC_H_
#define HALFTONE_FP16_CODEC_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/format.h"

namespace halftone {

// The random bits of Rounding::kStochastic, one number a value.
class RandomBits {
 public:
  // None: for every other rounding.
  RandomBits() = default;
  // Value i of the array gets rng.Bits(first + i).
  RandomBits(const Rng& rng, uint64_t first) : rng_(rng), first_(first), source_(Source::kRng) {}
  // Value i gets bits[i]; as many as there are values. The bits must outlive this object.
  explicit RandomBits(absl::Span<const uint32_t> bits) : bits_(bits), source_(Source::kBits) {}

  bool empty() const { return source_ == Source::kNone; }
  // The bits of the n values from `begin` on, in `buffer` (of at least n) or elsewhere; not of none.
  const uint32_t* Get(size_t begin, size_t n, uint32_t* buffer) const;

 private:
  enum class Source { kNone, kRng, kBits };

  Rng rng_{0};
  uint64_t first_ = 0;
  absl::Span<const uint32_t> bits_;
  Source source_ = Source::kNone;
};

// values[i]'s code to codes[i]. The spans are of one length and do not overlap; format.bits() is at most
// Code's width. A double is rounded once. half and bfloat16 to nearest even with Overflow::kInfinity are as
// fast as Convert (fp16/convert.h), doubles as slow as Encode, and so are formats without zero
// (float8_e8m0fnu).
void EncodeAll(const FloatFormat& format, absl::Span<const float> values, Rounding rounding,
               Overflow overflow, absl::Span<uint8_t> codes, const RandomBits& random = {});
void EncodeAll(const FloatFormat& format, absl::Span<const float> values, Rounding rounding,
               Overflow overflow, absl::Span<uint16_t> codes, const RandomBits& random = {});
void EncodeAll(const FloatFormat& format, absl::Span<const double> values, Rounding rounding,
               Overflow overflow, absl::Span<uint8_t> codes, const RandomBits& random = {});
void EncodeAll(const FloatFormat& format, absl::Span<const double> values, Rounding rounding,
               Overflow overflow, absl::Span<uint16_t> codes, const RandomBits& random = {});

// The floats of codes, static_cast<float>(Decode(code)): exact in every known format. The codes have no bits
// beyond format.bits().
void DecodeAll(const FloatFormat& format, absl::Span<const uint8_t> codes, absl::Span<float> values);
void DecodeAll(const FloatFormat& format, absl::Span<const uint16_t> codes, absl::Span<float> values);

// EncodeAll and DecodeAll in one: the values that the format has, as floats. `from` and `to` are of one
// length and the same span, or do not overlap.
void RoundAll(const FloatFormat& format, absl::Span<const float> from, Rounding rounding, Overflow overflow,
              absl::Span<float> to, const RandomBits& random = {});

}  // namespace halftone

#endif  // HALFTONE_FP16_CODEC_H_
