#include "fp16/convert.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fp16/bfloat16.h"
#include "fp16/convert_reference.h"
#include "fp16/half.h"
#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone {
namespace {

// Bits, so that NaNs compare.
template <typename T>
uint32_t Bits(T x) {
  return x.bits();
}
uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }

// Floats of every exponent and sign; the neighbours of every code of T and of every middle between codes;
// NaNs.
template <typename T>
std::vector<float> DenseSample() {
  std::vector<float> sample;
  const auto add = [&](uint32_t magnitude) {
    sample.push_back(std::bit_cast<float>(magnitude));
    sample.push_back(std::bit_cast<float>(magnitude | 0x80000000u));
  };
  for (uint32_t exponent = 0; exponent < 256; ++exponent) {
    for (uint32_t mantissa = 0; mantissa < 1u << 23; mantissa += 8191) add(exponent << 23 | mantissa);
    for (uint32_t bit = 0; bit < 23; ++bit) {
      add(exponent << 23 | 1u << bit);
      add(exponent << 23 | ((1u << bit) - 1));
    }
  }
  const reference::Converter<T> reference;
  for (uint16_t code = 0; code < reference.kInfinity; ++code) {
    const double value = reference.Decode(code);
    const double next =
        code + 1 < reference.kInfinity ? reference.Decode(code + 1) : 2 * value - reference.Decode(code - 1);
    for (const double x : {value, (value + next) / 2}) {
      const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(x));
      if (bits > 0) add(bits - 1);
      add(bits);
      add(bits + 1);
    }
  }
  return sample;
}

template <typename T>
class ConvertTest : public ::testing::Test {};

using Types = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(ConvertTest, Types);

TYPED_TEST(ConvertTest, NarrowingEqualsTwinOnEveryTarget) {
  const reference::Converter<TypeParam> reference;
  const std::vector<float> from = DenseSample<TypeParam>();
  std::vector<uint16_t> expected;
  for (const float x : from) expected.push_back(reference.Encode(x));

  ForEachTarget([&](int64_t) {
    std::vector<TypeParam> to(from.size(), TypeParam(0));
    Convert(from.data(), to.data(), from.size());
    for (size_t i = 0; i < from.size(); ++i) {
      ASSERT_EQ(to[i].bits(), expected[i]) << std::hexfloat << from[i] << " " << Bits(from[i]);
    }
  });
  for (size_t i = 0; i < from.size(); ++i) {
    ASSERT_EQ(TypeParam(from[i]).bits(), expected[i]) << std::hexfloat << from[i] << " " << Bits(from[i]);
  }
}

TYPED_TEST(ConvertTest, WideningEqualsTwinOnEveryTarget) {
  const reference::Converter<TypeParam> reference;
  std::vector<TypeParam> from;
  for (uint32_t code = 0; code < 0x10000; ++code) from.push_back(TypeParam::FromBits(code));

  ForEachTarget([&](int64_t) {
    std::vector<float> to(from.size());
    Convert(from.data(), to.data(), from.size());
    for (size_t i = 0; i < from.size(); ++i) {
      ASSERT_EQ(Bits(to[i]), Bits(static_cast<float>(from[i]))) << i;
      if (IsNan(from[i])) continue;
      ASSERT_EQ(Bits(to[i]), Bits(static_cast<float>(reference.Decode(i)))) << i;
    }
  });
}

// Every length around the unrolled loop, the single vectors and the overlapping tail, and every alignment of
// an element; nothing outside [0, n) is written.
template <typename From, typename To>
void TestLengths() {
  constexpr size_t kMost = 300;
  constexpr size_t kOffsets = 9;
  const To guard(-77.0f);
  std::vector<From> from;
  for (size_t i = 0; i < kMost + kOffsets; ++i) from.push_back(From(0.37f * static_cast<float>(i) - 20));

  ForEachTarget([&](int64_t) {
    for (size_t n = 0; n <= kMost; ++n) {
      for (size_t offset = 0; offset < kOffsets; ++offset) {
        std::vector<To> to(kMost + 2 * kOffsets, guard);
        Convert(from.data() + offset, to.data() + kOffsets - offset, n);
        for (size_t i = 0; i < to.size(); ++i) {
          const size_t at = i + offset - kOffsets;  // wraps in front of the output
          const To expected = at < n ? To(from[offset + at]) : guard;
          ASSERT_EQ(Bits(to[i]), Bits(expected)) << "n " << n << " offset " << offset << " at " << at;
        }
      }
    }
  });
}

// Arrays so long that they are stored past the cache, at an alignment of one element; all kinds of values.
template <typename From, typename To>
void TestBeyondCache(From (*from_bits)(uint32_t)) {
  constexpr size_t kLength = 6'000'003;
  std::vector<From> from;
  std::vector<To> expected;
  for (size_t i = 0; i < kLength; ++i) {
    from.push_back(from_bits(static_cast<uint32_t>(i) * 2654435761u));
    expected.push_back(To(from.back()));
  }
  const To guard(-77.0f);
  ForEachTarget([&](int64_t) {
    std::vector<To> to(kLength + 2, guard);
    Convert(from.data(), to.data() + 1, kLength);
    EXPECT_EQ(Bits(to.front()), Bits(guard));
    EXPECT_EQ(Bits(to.back()), Bits(guard));
    for (size_t i = 0; i < kLength; ++i) {
      if (Bits(to[i + 1]) != Bits(expected[i])) FAIL() << i << ": " << to[i + 1] << " not " << expected[i];
    }
  });
}

TYPED_TEST(ConvertTest, BeyondCache) {
  TestBeyondCache<float, TypeParam>([](uint32_t bits) { return std::bit_cast<float>(bits); });
  TestBeyondCache<TypeParam, float>([](uint32_t bits) { return TypeParam::FromBits(bits >> 16); });
}

TYPED_TEST(ConvertTest, LengthsAndAlignments) {
  TestLengths<float, TypeParam>();
  TestLengths<TypeParam, float>();
}

}  // namespace
}  // namespace halftone
