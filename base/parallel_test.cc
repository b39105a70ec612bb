#include "base/parallel.h"

#include <vector>

#include "gtest/gtest.h"

namespace halftone {
namespace {

TEST(ParallelForTest, VisitsEveryIndexOnceForAnyThreadCount) {
  for (const int threads : {1, 2, 3, 7}) {
    SetNumThreads(threads);
    for (const size_t n : {0, 1, 5, 64, 1000}) {
      for (const size_t grain : {1, 3, 64, 5000}) {
        std::vector<int> visits(n, 0);
        ParallelFor(n, grain, [&](size_t begin, size_t end) {
          EXPECT_EQ(begin % grain, 0u);
          for (size_t i = begin; i < end; ++i) ++visits[i];
        });
        EXPECT_EQ(visits, std::vector<int>(n, 1)) << n << " by " << grain << " on " << threads;
      }
    }
  }
  SetNumThreads(0);
}

TEST(ParallelForTest, BlocksDoNotDependOnThreads) {
  for (const int threads : {1, 2, 5}) {
    SetNumThreads(threads);
    std::vector<size_t> begins(4, 99), ends(4, 99);
    ParallelForBlocks(35, 10, [&](size_t b, size_t begin, size_t end) { begins[b] = begin, ends[b] = end; });
    EXPECT_EQ(begins, (std::vector<size_t>{0, 10, 20, 30}));
    EXPECT_EQ(ends, (std::vector<size_t>{10, 20, 30, 35}));
  }
  SetNumThreads(0);
}

TEST(ParallelForTest, NestedLoopsRunInline) {
  std::vector<int> visits(16, 0);
  ParallelFor(4, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      ParallelFor(4, 1, [&](size_t b, size_t e) {
        for (size_t j = b; j < e; ++j) ++visits[4 * i + j];
      });
    }
  });
  EXPECT_EQ(visits, std::vector<int>(16, 1));
}

}  // namespace
}  // namespace halftone
