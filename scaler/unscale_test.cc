#include "scaler/unscale.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "base/parallel.h"
#include "gtest/gtest.h"
#include "hwy/highway.h"
#include "scaler/span_blocks.h"

namespace halftone {
namespace {

using Arrays = std::vector<std::vector<float>>;

std::vector<absl::Span<float>> Spans(Arrays& arrays) {
  std::vector<absl::Span<float>> spans;
  for (std::vector<float>& a : arrays) spans.push_back(absl::MakeSpan(a));
  return spans;
}

// The definition, slowly. Bit for bit: blocks of 4096, in each 16 partial sums that take turns.
GradStats Twin(Arrays& arrays, float scale) {
  const float inverse = static_cast<float>(1.0 / scale);
  GradStats stats;
  double sum = 0;
  for (std::vector<float>& a : arrays) {
    for (size_t begin = 0; begin < a.size(); begin += 4096) {
      double lanes[16] = {};
      for (size_t i = begin; i < std::min(a.size(), begin + 4096); ++i) {
        a[i] *= inverse;
        if (!std::isfinite(a[i])) stats.finite = false;
        const double square = static_cast<double>(a[i]) * a[i];
        lanes[i % 16] += square;
      }
      double block = 0;
      for (const double lane : lanes) block += lane;
      sum += block;
    }
  }
  stats.norm = std::sqrt(sum);
  return stats;
}

// Runs body with each instruction set that this machine has, and with 1, 2 and 3 threads.
template <typename Body>
void OnEveryMachine(const Body& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    for (const int threads : {1, 2, 3}) {
      SetNumThreads(threads);
      SCOPED_TRACE(testing::Message() << hwy::TargetName(target) << ", " << threads << " threads");
      body();
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  SetNumThreads(0);
}

Arrays RandomArrays(const std::vector<size_t>& sizes, float magnitude) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, magnitude);
  Arrays arrays;
  for (const size_t n : sizes) {
    arrays.emplace_back(n);
    for (float& x : arrays.back()) x = normal(random);
  }
  return arrays;
}

const std::vector<size_t> kSizes = {1,    0,    2,    3, 7,     8,    15,     16, 17,
                                    4095, 4096, 4097, 0, 65536, 8191, 100003, 31, 0};

bool SameBits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

TEST(UnscaleAndCheckTest, SameBitsAsTheTwinOnEveryMachine) {
  for (const float scale : {1.0f, 65536.0f, 3.0f, 0.0016704326f, 1.7014118e38f}) {
    const Arrays original = RandomArrays(kSizes, scale / 16);  // within the range of floats
    Arrays expected = original;
    const GradStats twin = Twin(expected, scale);
    EXPECT_TRUE(twin.finite);
    OnEveryMachine([&] {
      Arrays got = original;
      const GradStats stats = UnscaleAndCheck(Spans(got), scale);
      EXPECT_TRUE(stats.finite);
      EXPECT_TRUE(SameBits(stats.norm, twin.norm)) << stats.norm << " " << twin.norm;
      EXPECT_EQ(got, expected);
    });
  }
}

TEST(UnscaleAndCheckTest, NormIsTheSquareRootOfTheSumOfSquares) {
  Arrays arrays = {{6}, {}, {0, -8}};
  const GradStats stats = UnscaleAndCheck(Spans(arrays), 2);
  EXPECT_EQ(stats.norm, 5);
  EXPECT_EQ(arrays, (Arrays{{3}, {}, {0, -4}}));
  EXPECT_EQ(UnscaleAndCheck({}, 2).norm, 0);
  EXPECT_TRUE(UnscaleAndCheck({}, 2).finite);
}

TEST(UnscaleAndCheckTest, FindsEveryNonFiniteValue) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<size_t> sizes = {5, 16, 4096 + 37};
  OnEveryMachine([&] {
    for (const float bad : {infinity, -infinity, nan, -nan}) {
      for (size_t a = 0; a < sizes.size(); ++a) {
        std::vector<size_t> places;
        for (size_t i = 0; i < std::min<size_t>(sizes[a], 40); ++i)
          places.push_back(i);  // each lane, first blocks
        for (size_t i = sizes[a] - std::min<size_t>(sizes[a], 80); i < sizes[a]; ++i)
          places.push_back(i);  // tails
        for (const size_t place : places) {
          Arrays arrays = RandomArrays(sizes, 1);
          arrays[a][place] = bad;
          EXPECT_FALSE(UnscaleAndCheck(Spans(arrays), 1024).finite) << bad << " at " << a << ", " << place;
        }
      }
    }
    Arrays both = RandomArrays(sizes, 1);
    both[1][0] = infinity;
    both[2][16] = -infinity;
    EXPECT_FALSE(UnscaleAndCheck(Spans(both), 1024).finite);
  });
}

// A scale below 1 can make an infinity of a finite gradient: that must not reach the weights either.
TEST(UnscaleAndCheckTest, FindsOverflowOfTheProduct) {
  Arrays arrays = {{FLT_MAX}};
  EXPECT_FALSE(UnscaleAndCheck(Spans(arrays), 0.5f).finite);
}

TEST(UnscaleAndCheckTest, LargestAndSmallestSquaresSurvive) {
  OnEveryMachine([] {
    Arrays large = {std::vector<float>(100000, FLT_MAX), std::vector<float>(77, -FLT_MAX)};
    const GradStats stats = UnscaleAndCheck(Spans(large), 1);
    EXPECT_TRUE(stats.finite);
    EXPECT_NEAR(stats.norm / (FLT_MAX * std::sqrt(100077.0)), 1, 1e-12);
    Arrays small = {std::vector<float>(4, FLT_TRUE_MIN)};
    EXPECT_EQ(UnscaleAndCheck(Spans(small), 1).norm, 2.0 * FLT_TRUE_MIN);
  });
}

TEST(ClipByGlobalNormTest, AsTorchDoes) {
  OnEveryMachine([] {
    Arrays arrays = RandomArrays(kSizes, 3);
    const Arrays original = arrays;
    const double norm = UnscaleAndCheck(Spans(arrays), 1).norm;
    ClipByGlobalNorm(Spans(arrays), 2.5, norm);
    const float coefficient = static_cast<float>(2.5 / (norm + 1e-6));
    for (size_t a = 0; a < arrays.size(); ++a) {
      for (size_t i = 0; i < arrays[a].size(); ++i) ASSERT_EQ(arrays[a][i], original[a][i] * coefficient);
    }
    EXPECT_NEAR(UnscaleAndCheck(Spans(arrays), 1).norm, 2.5, 1e-5);
  });
}

TEST(ClipByGlobalNormTest, LeavesSmallGradientsAndNoLimitAlone) {
  Arrays arrays = {{3, 4}};
  ClipByGlobalNorm(Spans(arrays), 5.1, 5);
  ClipByGlobalNorm(Spans(arrays), 0, 5);
  ClipByGlobalNorm(Spans(arrays), -1, 5);
  EXPECT_EQ(arrays, (Arrays{{3, 4}}));
  ClipByGlobalNorm(Spans(arrays), 0,
                   std::numeric_limits<double>::infinity());  // no limit: the norm is not looked at
  EXPECT_EQ(arrays, (Arrays{{3, 4}}));
  Arrays zero = {{0, 0}};
  ClipByGlobalNorm(Spans(zero), 1e-9, 0);
  EXPECT_EQ(zero, (Arrays{{0, 0}}));
}

TEST(SpanBlocksTest, EveryElementOnceInNumberedBlocks) {
  const SpanBlocks blocks(
      kSizes.size(), [](size_t i) { return kSizes[i]; }, 4096);
  for (const int threads : {1, 2, 3}) {
    SetNumThreads(threads);
    std::vector<int> seen(blocks.count());
    std::vector<std::vector<char>> covered;
    for (const size_t n : kSizes) covered.emplace_back(n);
    blocks.ParallelForEach([&](size_t array, size_t begin, size_t end, size_t number) {
      ++seen[number];
      EXPECT_EQ(begin % 4096, 0);
      EXPECT_LE(end - begin, 4096);
      for (size_t i = begin; i < end; ++i) ++covered[array][i];
    });
    EXPECT_EQ(seen, std::vector<int>(blocks.count(), 1));
    for (const auto& array : covered) EXPECT_EQ(array, std::vector<char>(array.size(), 1));
  }
  SetNumThreads(0);
}

}  // namespace
}  // namespace halftone
