#include "base/philox.h"

#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "testing/variations.h"

namespace halftone {
namespace {

// The known answers of the paper's own library (Random123, kat_vectors).
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, 0, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffff;
  EXPECT_EQ(Philox4x32({f, f, f, f}, f, f), (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RngTest, StepsStreamsAndSeedsDiffer) {
  const Rng rng(7);
  const std::set<uint32_t> first = {rng.Bits(0),
                                    rng.Bits(1),
                                    rng.AtStep(1).Bits(0),
                                    rng.Stream(1).Bits(0),
                                    rng.Stream(1).Substream(1).Bits(0),
                                    Rng(8).Bits(0)};
  EXPECT_EQ(first.size(), 6u);
}

TEST(RngTest, UniformAndNormalHaveTheirMoments) {
  const Rng rng = Rng(3).Stream(HashStream("moments"));
  const int n = 100000;
  double u1 = 0, u2 = 0, z1 = 0, z2 = 0;
  for (int i = 0; i < n; ++i) {
    const double u = rng.Uniform(i), z = rng.Normal(i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    u1 += u, u2 += u * u, z1 += z, z2 += z * z;
  }
  // Within five standard errors: a correct generator fails one seed in a million, and the seed is fixed.
  EXPECT_NEAR(u1 / n, 0.5, 5 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(u2 / n, 1.0 / 3, 5 * std::sqrt(4.0 / 45 / n));
  EXPECT_NEAR(z1 / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(z2 / n, 1, 5 * std::sqrt(2.0 / n));
}

TEST(RngTest, FillGivesTheBitsOfEachIndex) {
  const Rng rng = Rng(0x123456789abcdef0).AtStep(5).Stream(0xdeadbeef);
  constexpr uint64_t kCarry = uint64_t{4} << 32;  // the block number's upper word begins to count
  ForEachTarget([&](int64_t target) {
    for (const uint64_t first : {uint64_t{0}, uint64_t{1}, uint64_t{6}, uint64_t{1000003}, kCarry - 50}) {
      for (size_t n = 0; n < 150; ++n) {
        std::vector<uint32_t> bits(n + 1, 77);
        rng.Fill(first, bits.data(), n);
        for (size_t i = 0; i < n; ++i) {
          ASSERT_EQ(bits[i], rng.Bits(first + i))
              << first << " + " << i << " of " << n << ", " << hwy::TargetName(target);
        }
        ASSERT_EQ(bits[n], 77u);
      }
    }
  });
}

TEST(RngTest, BelowCoversItsRange) {
  std::set<uint32_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(Rng(1).Below(i, 9));
  EXPECT_EQ(seen.size(), 9u);
  EXPECT_EQ(*seen.rbegin(), 8u);
}

}  // namespace
}  // namespace halftone
