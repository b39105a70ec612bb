#include "datasets/shuffle.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace halftone {
namespace {

std::vector<uint32_t> Order(uint64_t seed, int64_t epoch, size_t n) {
  std::vector<uint32_t> order(n, 12345);
  ShuffledOrder(seed, epoch, absl::MakeSpan(order));
  return order;
}

TEST(ShuffleTest, IsAPermutation) {
  for (const size_t n : {0, 1, 2, 3, 10, 1000}) {
    std::vector<uint32_t> order = Order(1, 2, n);
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(order[i], i) << n;
  }
}

TEST(ShuffleTest, DependsOnSeedAndEpochAlone) {
  EXPECT_EQ(Order(1, 2, 100), Order(1, 2, 100));
  EXPECT_NE(Order(1, 2, 100), Order(1, 3, 100));
  EXPECT_NE(Order(1, 2, 100), Order(2, 2, 100));
}

// So that runs can be repeated with a later version.
TEST(ShuffleTest, Golden) { EXPECT_EQ(Order(1, 0, 8), (std::vector<uint32_t>{7, 1, 3, 2, 5, 6, 0, 4})); }

TEST(ShuffleTest, EveryPermutationOfThreeIsAsLikely) {
  constexpr int kEpochs = 6000;
  std::vector<int> counts(27);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<uint32_t> order = Order(5, epoch, 3);
    ++counts[9 * order[0] + 3 * order[1] + order[2]];
  }
  int seen = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++seen;
    EXPECT_NEAR(count, kEpochs / 6.0, 5 * 29);  // five standard deviations of a binomial count
  }
  EXPECT_EQ(seen, 6);
}

}  // namespace
}  // namespace halftone
