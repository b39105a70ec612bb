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
#include "fp16/bfloat16.h"
#include "fp16/half.h"
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

template <typename T>
class Unscale16BitTest : public testing::Test {};
using Types16 = testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(Unscale16BitTest, Types16);

TYPED_TEST(Unscale16BitTest, SameBitsAsWideningFirst) {
  const Arrays values = RandomArrays(kSizes, 100);
  std::vector<std::vector<TypeParam>> narrow;
  Arrays expected;
  std::vector<absl::Span<const TypeParam>> grads;
  for (const std::vector<float>& a : values) {
    narrow.emplace_back();
    for (const float x : a) narrow.back().push_back(TypeParam(x));
    expected.emplace_back(narrow.back().begin(), narrow.back().end());
  }
  for (const auto& a : narrow) grads.push_back(a);
  const GradStats twin = Twin(expected, 3);
  OnEveryMachine([&] {
    Arrays got;
    for (const size_t n : kSizes) got.emplace_back(n, -1.0f);
    const GradStats stats = UnscaleAndCheck(grads, Spans(got), 3);
    EXPECT_TRUE(stats.finite);
    EXPECT_TRUE(SameBits(stats.norm, twin.norm));
    EXPECT_EQ(got, expected);
  });
}

TYPED_TEST(Unscale16BitTest, FindsEveryCodeThatIsNotFinite) {
  OnEveryMachine([] {
    for (const size_t place : {size_t{0}, size_t{7}, size_t{31}, size_t{36}}) {
      for (uint32_t code = 0; code < 65536; code += 509) {
        std::vector<TypeParam> grads(37, TypeParam(1.0f));
        grads[place] = std::bit_cast<TypeParam>(static_cast<uint16_t>(code));
        std::vector<float> unscaled(37);
        const absl::Span<const TypeParam> from[] = {grads};
        const absl::Span<float> to[] = {absl::MakeSpan(unscaled)};
        ASSERT_EQ(UnscaleAndCheck(from, to, 1024).finite, std::isfinite(static_cast<float>(grads[place])))
            << code;
      }
    }
  });
}

TEST(UnscaleAndCheckTest, CountsZerosOfEitherSignInEachArray) {
  const Arrays original = RandomArrays(kSizes, 1);
  Arrays marked = original;
  std::vector<int64_t> expected(kSizes.size());
  for (size_t a = 0; a < marked.size(); ++a) {
    for (size_t i = a % 3; i < marked[a].size(); i += 3 + a) {
      marked[a][i] = i % 2 == 0 ? 0.0f : -0.0f;
      ++expected[a];
    }
  }
  // A product that underflows is a zero as well.
  marked[9][1] = FLT_TRUE_MIN;
  ++expected[9];
  OnEveryMachine([&] {
    Arrays got = marked, plain = marked;
    std::vector<int64_t> zeros(kSizes.size(), -1);
    const GradStats stats = UnscaleAndCheck(Spans(got), 4, absl::MakeSpan(zeros));
    EXPECT_EQ(zeros, expected);
    EXPECT_TRUE(SameBits(stats.norm, UnscaleAndCheck(Spans(plain), 4).norm));
    EXPECT_EQ(got, plain);
  });
}

TEST(ClipByValueTest, LimitsEveryGradient) {
  OnEveryMachine([] {
    Arrays arrays = RandomArrays(kSizes, 3);
    const Arrays original = arrays;
    ClipByValue(Spans(arrays), 2.5f);
    for (size_t a = 0; a < arrays.size(); ++a) {
      for (size_t i = 0; i < arrays[a].size(); ++i) {
        ASSERT_EQ(arrays[a][i], std::clamp(original[a][i], -2.5f, 2.5f));
      }
    }
    Arrays same = original;
    ClipByValue(Spans(same), 0);
    ClipByValue(Spans(same), -1);
    ClipByValue(Spans(same), std::numeric_limits<float>::infinity());
    EXPECT_EQ(same, original);
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
  for (size_t i = 0; i < kSizes.size(); ++i) {
    EXPECT_EQ(blocks.first(i + 1) - blocks.first(i), (kSizes[i] + 4095) / 4096) << i;
  }
  SetNumThreads(0);
}

}  // namespace
}  // namespace halftone
