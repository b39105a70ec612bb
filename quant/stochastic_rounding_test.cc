// Stochastic rounding of every format is unbiased, as a statistical test can tell, and has the same bits
// however the elements are split and whatever the number of threads.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/codec.h"
#include "gtest/gtest.h"
#include "quant/block_format.h"
#include "quant/formats.h"
#include "quant/integer_format.h"
#include "quant/quant_format.h"
#include "quant/scaled.h"
#include "testing/variations.h"

namespace halftone {
namespace {

constexpr size_t kValues = 256;
constexpr size_t kDraws = 4096;  // of each
// Of a chi-squared variable of 256 degrees of freedom, by Wilson and Hilferty 1931: each is exceeded on its
// side with probability 1e-6.
constexpr double kLowest = 162, kHighest = 378;

// x rounded stochastically, element i with number first + i of the stream.
std::vector<float> Round(const QuantFormat& format, absl::Span<const float> x, uint64_t first) {
  std::vector<float> y(x.size());
  const RandomBits random(Rng(17).Stream(3), first);
  const std::vector<float> scale = {0.01f};
  const std::vector<int32_t> zero = {1};
  if (const auto* f = std::get_if<FloatFormat>(&format)) {
    FakeQuantize(*f, x, scale, Rounding::kStochastic, absl::MakeSpan(y), random);
  } else if (const auto* i = std::get_if<IntegerFormat>(&format)) {
    FakeQuantize(*i, x, scale, i->affine ? zero : std::vector<int32_t>(), Rounding::kStochastic,
                 absl::MakeSpan(y), random);
  } else {
    const BlockFormat& b = std::get<BlockFormat>(format);
    FakeQuantizeBlocks(b, x, x.size(), {.rounding = Rounding::kStochastic, .tensor_scale = 0.01f},
                       absl::MakeSpan(y), random);
  }
  return y;
}

// Where each draw of a value is in a block of its own kind: the first element of every block makes the scale.
std::vector<QuantFormat> Formats() {
  std::vector<QuantFormat> formats = QuantFormats();
  formats.erase(
      std::remove_if(formats.begin(), formats.end(),
                     [](const QuantFormat& f) { return std::holds_alternative<CodebookFormat>(f); }),
      formats.end());
  return formats;
}

class StochasticRoundingTest : public ::testing::TestWithParam<QuantFormat> {};

TEST_P(StochasticRoundingTest, IsUnbiased) {
  const bool blocks = std::holds_alternative<BlockFormat>(GetParam());
  const size_t block = blocks ? static_cast<size_t>(std::get<BlockFormat>(GetParam()).block) : 1;
  double chi_squared = 0;
  size_t tested = 0;
  for (size_t v = 0; tested < kValues; ++v) {
    ASSERT_LT(v, 100 * kValues);
    const float x = 0.01f * (2 * Rng(5).Uniform(v) - 1) * (blocks ? 1 : 1.5f);
    std::vector<float> draws(kDraws, x);
    for (size_t i = 0; blocks && i < kDraws; i += block) draws[i] = 0.01f;
    std::vector<float> y = Round(GetParam(), draws, v * kDraws);
    double n = 0, ups = 0;
    float low = HUGE_VALF, high = -HUGE_VALF;
    for (size_t i = 0; i < kDraws; ++i) {
      if (blocks && i % block == 0) continue;
      low = std::min(low, y[i]);
      high = std::max(high, y[i]);
      ++n;
    }
    if (low == high) continue;  // a value of the format, or beyond its range
    for (size_t i = 0; i < kDraws; ++i) {
      if (blocks && i % block == 0) continue;
      ASSERT_TRUE(y[i] == low || y[i] == high)
          << x << " became " << y[i] << ", not " << low << " or " << high;
      ups += y[i] == high;
    }
    ASSERT_LE(low, x);
    ASSERT_GE(high, x);
    const double p = (static_cast<double>(x) - low) / (static_cast<double>(high) - low);
    // Where one of the two is rare, its count is no normal variable.
    if (n * std::min(p, 1 - p) < 20) continue;
    chi_squared += (ups - n * p) * (ups - n * p) / (n * p * (1 - p));
    ++tested;
  }
  EXPECT_GT(chi_squared, kLowest);
  EXPECT_LT(chi_squared, kHighest);
}

TEST_P(StochasticRoundingTest, SplitsAndThreadsMakeNoDifference) {
  constexpr size_t kN = 32 * 4096;
  std::vector<float> x(kN);
  for (size_t i = 0; i < kN; ++i) x[i] = 0.01f * Rng(6).Normal(i);
  const std::vector<float> whole = Round(GetParam(), x, 0);
  ForEachThreadCount([&](int threads) {
    EXPECT_EQ(Round(GetParam(), x, 0), whole) << threads << " threads";
    for (const size_t cut : {size_t{32}, size_t{32 * 33}, kN - 32}) {
      std::vector<float> parts = Round(GetParam(), absl::MakeConstSpan(x).first(cut), 0);
      const std::vector<float> rest = Round(GetParam(), absl::MakeConstSpan(x).subspan(cut), cut);
      parts.insert(parts.end(), rest.begin(), rest.end());
      EXPECT_EQ(parts, whole) << "cut at " << cut;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Formats, StochasticRoundingTest, ::testing::ValuesIn(Formats()),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace halftone
