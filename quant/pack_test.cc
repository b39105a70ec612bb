#include "quant/pack.h"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "testing/variations.h"

namespace halftone {
namespace {

// The twins: bit by bit.
std::vector<uint8_t> Packed(int bits, absl::Span<const uint8_t> codes) {
  std::vector<uint8_t> packed((codes.size() * static_cast<size_t>(bits) + 7) / 8);
  size_t at = 0;
  for (const uint8_t code : codes) {
    for (int bit = 0; bit < bits; ++bit, ++at) {
      packed[at / 8] = static_cast<uint8_t>(packed[at / 8] | (code >> bit & 1) << at % 8);
    }
  }
  return packed;
}

std::vector<uint8_t> Unpacked(int bits, absl::Span<const uint8_t> packed, size_t n) {
  std::vector<uint8_t> codes(n);
  for (size_t at = 0; at < n * static_cast<size_t>(bits); ++at) {
    uint8_t& code = codes[at / static_cast<size_t>(bits)];
    code = static_cast<uint8_t>(code | (packed[at / 8] >> at % 8 & 1) << at % static_cast<size_t>(bits));
  }
  return codes;
}

std::vector<uint8_t> RandomBytes(size_t n) {
  const Rng rng(4);
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < n; ++i) bytes.push_back(static_cast<uint8_t>(rng.Bits(i)));
  return bytes;
}

// Nothing around the output is written, and the codes' upper bits do not count.
void ExpectLikeTwin(int bits, size_t n) {
  constexpr size_t kGuard = 32;
  constexpr uint8_t kUntouched = 0xa5;
  const std::vector<uint8_t> codes = RandomBytes(n);
  const std::vector<uint8_t> expected = Packed(bits, codes);
  ASSERT_EQ(PackedBytes(bits, n), expected.size());
  std::vector<uint8_t> packed(expected.size() + 2 * kGuard, kUntouched),
      codes_back(n + 2 * kGuard, kUntouched);
  PackBits(bits, codes, absl::MakeSpan(packed).subspan(kGuard, expected.size()));
  for (size_t i = 0; i < packed.size(); ++i) {
    const bool inside = i >= kGuard && i < kGuard + expected.size();
    ASSERT_EQ(packed[i], inside ? expected[i - kGuard] : kUntouched) << bits << " bits, " << n << " at " << i;
  }
  // All bytes, so that the last one has bits that belong to no code.
  const std::vector<uint8_t> from = RandomBytes(expected.size());
  const std::vector<uint8_t> expected_back = Unpacked(bits, from, n);
  UnpackBits(bits, from, absl::MakeSpan(codes_back).subspan(kGuard, n));
  for (size_t i = 0; i < codes_back.size(); ++i) {
    const bool inside = i >= kGuard && i < kGuard + n;
    ASSERT_EQ(codes_back[i], inside ? expected_back[i - kGuard] : kUntouched)
        << bits << " bits, " << n << " at " << i;
  }
}

TEST(PackTest, LikeTwinOfEveryLength) {
  ForEachTarget([](int64_t target) {
    SCOPED_TRACE(hwy::TargetName(target));
    for (int bits = 1; bits <= 8; ++bits) {
      for (size_t n = 0; n <= 200; ++n) ASSERT_NO_FATAL_FAILURE(ExpectLikeTwin(bits, n));
    }
  });
}

TEST(PackTest, LikeTwinOnEveryNumberOfThreads) {
  ForEachThreadCount([](int threads) {
    SCOPED_TRACE(threads);
    for (int bits = 1; bits <= 8; ++bits) {
      for (const size_t n : {size_t{1} << 18, (size_t{1} << 18) + 13}) {
        ASSERT_NO_FATAL_FAILURE(ExpectLikeTwin(bits, n));
      }
    }
  });
}

TEST(PackTest, Layout) {
  const auto packed = [](int bits, const std::vector<uint8_t>& codes) {
    std::vector<uint8_t> result(PackedBytes(bits, codes.size()));
    PackBits(bits, codes, absl::MakeSpan(result));
    return result;
  };
  using Bytes = std::vector<uint8_t>;
  EXPECT_EQ(packed(4, {0x1, 0x2, 0x3}), (Bytes{0x21, 0x03}));
  EXPECT_EQ(packed(4, {static_cast<uint8_t>(-7), 7}), (Bytes{0x79}));
  EXPECT_EQ(packed(2, {1, 2, 3, 0, 3}), (Bytes{0b00'11'10'01, 0b11}));
  EXPECT_EQ(packed(6, {0b111111, 0, 0b100001, 0}), (Bytes{0b00'111111, 0b0001'0000, 0b000000'10}));
  EXPECT_EQ(packed(3, {1, 2, 3}), (Bytes{0b11'010'001, 0}));
  EXPECT_EQ(packed(1, {1, 0, 1}), (Bytes{0b101}));
  EXPECT_EQ(packed(8, {200, 3}), (Bytes{200, 3}));
  EXPECT_EQ(packed(4, {}), Bytes());
}

TEST(PackDeathTest, WrongSizes) {
  std::vector<uint8_t> codes(3), packed(1);
  EXPECT_DEATH(PackBits(4, codes, absl::MakeSpan(packed)), "check failed");
  EXPECT_DEATH(UnpackBits(4, packed, absl::MakeSpan(codes)), "check failed");
  EXPECT_DEATH(PackBits(9, codes, absl::MakeSpan(codes)), "check failed");
  EXPECT_DEATH(UnpackBits(0, packed, absl::MakeSpan(packed)), "check failed");
}

}  // namespace
}  // namespace halftone
