#include "fp16/codec.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/codec_testing.h"
#include "fp16/format.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using reference::kOverflows;
using reference::kRoundings;

// Rows at the edges of what is done in vectors, and beyond: those are done one by one.
constexpr std::array kEdgeFormats = {
    FloatFormat{"smallest bias", 2, 1, 0, true, true, NanCodes::kIeee},
    FloatFormat{"no mantissa to speak of", 8, 1, 126, true, true, NanCodes::kIeee},
    FloatFormat{"bfloat16 without infinities", 8, 7, 127, true, false, NanCodes::kNone},
    FloatFormat{"unsigned bfloat16", 8, 7, 127, false, true, NanCodes::kIeee},
    FloatFormat{"many mantissa bits", 3, 12, 3, true, true, NanCodes::kIeee},
    FloatFormat{"most mantissa bits", 1, 15, 0, false, false, NanCodes::kAllOnes},
    FloatFormat{"unsigned without NaN", 5, 11, 15, false, false, NanCodes::kNone},
    FloatFormat{"one more than float's bias", 8, 3, 128, true, true, NanCodes::kIeee},
    FloatFormat{"largest bias", 8, 3, 255, true, true, NanCodes::kIeee},
    FloatFormat{"beyond float's range", 8, 3, 0, true, true, NanCodes::kIeee},
};

TEST(CodecTest, Float16LikeScalar) { reference::ExpectCodecLikeScalar(kFloat16); }

TEST(CodecTest, Bfloat16LikeScalar) { reference::ExpectCodecLikeScalar(kBfloat16); }

TEST(CodecTest, OtherFormatsLikeScalar) {
  for (const FloatFormat& format : reference::kOtherFormats) reference::ExpectCodecLikeScalar(format);
}

TEST(CodecTest, EdgeFormatsLikeScalar) {
  for (const FloatFormat& format : kEdgeFormats) {
    ASSERT_TRUE(format.valid() && format.bits() <= 16) << format.name;
    reference::ExpectCodecLikeScalar(format);
  }
}

// Every length up to some vectors, at every alignment of an element; nothing outside is written.
template <typename Code>
void TestLengths(const FloatFormat& format, Rounding rounding) {
  constexpr size_t kMost = 100, kGuards = 3;
  constexpr float kGuard = -77;
  std::vector<float> values;
  for (size_t i = 0; i < kMost + kGuards; ++i) values.push_back(0.37f * static_cast<float>(i) - 20);
  const Rng rng(7);
  ForEachTarget([&](int64_t) {
    for (size_t n = 0; n <= kMost; ++n) {
      const size_t offset = n % kGuards;
      const absl::Span<const float> from = absl::MakeConstSpan(values).subspan(offset, n);
      std::vector<Code> codes(kMost + 2 * kGuards, Code{77});
      std::vector<float> decoded(codes.size(), kGuard), rounded(codes.size(), kGuard);
      const absl::Span<Code> to = absl::MakeSpan(codes).subspan(kGuards - offset, n);
      EncodeAll(format, from, rounding, Overflow::kSaturate, to, RandomBits(rng, offset));
      DecodeAll(format, to, absl::MakeSpan(decoded).subspan(kGuards - offset, n));
      RoundAll(format, from, rounding, Overflow::kSaturate,
               absl::MakeSpan(rounded).subspan(kGuards - offset, n), RandomBits(rng, offset));
      for (size_t i = 0; i < codes.size(); ++i) {
        const size_t at = i + offset - kGuards;  // wraps in front of the output
        const uint32_t code =
            at >= n ? 77 : Encode(format, from[at], rounding, Overflow::kSaturate, rng.Bits(offset + at));
        const float value = at >= n ? kGuard : static_cast<float>(Decode(format, code));
        ASSERT_EQ(codes[i], code) << n << " at " << at;
        ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(value)) << n << " at " << at;
        ASSERT_EQ(std::bit_cast<uint32_t>(rounded[i]), std::bit_cast<uint32_t>(value)) << n << " at " << at;
      }
    }
  });
}

TEST(CodecTest, Lengths) {
  constexpr FloatFormat kE4m3{"float8_e4m3", 4, 3, 7, true, true, NanCodes::kIeee};
  for (const Rounding rounding : kRoundings) {
    TestLengths<uint16_t>(kFloat16, rounding);
    TestLengths<uint16_t>(kE4m3, rounding);
    TestLengths<uint8_t>(kE4m3, rounding);
  }
}

// The random bits belong to the element, however the array is cut: also at and around the blocks in which
// bits are made.
TEST(CodecTest, StochasticRoundingDoesNotDependOnTheSplit) {
  constexpr size_t kLength = 3001;
  const Rng rng = Rng(3).AtStep(9).Stream(HashStream("weight"));
  constexpr uint64_t kFirst = (uint64_t{1} << 33) + 2;
  std::vector<float> values;
  std::vector<uint16_t> expected;
  for (size_t i = 0; i < kLength; ++i) {
    values.push_back(rng.Uniform(i) * 2 - 1);
    expected.push_back(static_cast<uint16_t>(
        Encode(kBfloat16, values[i], Rounding::kStochastic, Overflow::kInfinity, rng.Bits(kFirst + i))));
  }
  for (const size_t piece :
       {size_t{1}, size_t{3}, size_t{17}, size_t{511}, size_t{512}, size_t{513}, kLength}) {
    std::vector<uint16_t> codes(kLength), from_doubles(kLength);
    std::vector<float> rounded(kLength);
    for (size_t begin = 0; begin < kLength; begin += piece) {
      const absl::Span<const float> from = absl::MakeConstSpan(values).subspan(begin, piece);
      const RandomBits random(rng, kFirst + begin);
      EncodeAll(kBfloat16, from, Rounding::kStochastic, Overflow::kInfinity,
                absl::MakeSpan(codes).subspan(begin, piece), random);
      EncodeAll(kBfloat16, std::vector<double>(from.begin(), from.end()), Rounding::kStochastic,
                Overflow::kInfinity, absl::MakeSpan(from_doubles).subspan(begin, piece), random);
      RoundAll(kBfloat16, from, Rounding::kStochastic, Overflow::kInfinity,
               absl::MakeSpan(rounded).subspan(begin, piece), random);
    }
    EXPECT_EQ(codes, expected) << piece;
    EXPECT_EQ(from_doubles, expected) << piece;
    for (size_t i = 0; i < kLength; ++i) ASSERT_EQ(rounded[i], Decode(kBfloat16, expected[i])) << piece;
  }
}

TEST(CodecTest, MisuseStopsTheProgram) {
  const std::vector<float> values(4, 1);
  std::vector<uint8_t> codes(4);
  EXPECT_DEATH(EncodeAll(kFloat16, values, Rounding::kTowardZero, Overflow::kNan, absl::MakeSpan(codes)),
               "check failed");
  constexpr FloatFormat kE5m2{"float8_e5m2", 5, 2, 15, true, true, NanCodes::kIeee};
  EXPECT_DEATH(EncodeAll(kE5m2, values, Rounding::kStochastic, Overflow::kNan, absl::MakeSpan(codes)),
               "check failed");
  EXPECT_DEATH(EncodeAll(kE5m2, values, Rounding::kUp, Overflow::kNan, absl::MakeSpan(codes).first(3)),
               "check failed");
}

}  // namespace
}  // namespace halftone
