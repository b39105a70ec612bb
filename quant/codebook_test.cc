#include "quant/codebook.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "quant/codebook_search.h"
#include "testing/variations.h"

namespace halftone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
// One of each search, all values used or not.
constexpr int kSizes[] = {2, 3, 4, 5, 8, 9, 16, 17, 40, 64, 65, 200, 256};

// Sorted; every fifth twice.
Codebook RandomCodebook(int size, uint64_t seed = 1) {
  const Rng rng(seed);
  std::vector<float> values;
  for (int j = 0; j < size; ++j) values.push_back(j % 5 == 4 ? values.back() : rng.Normal(j));
  SortValues(absl::MakeSpan(values));
  return Codebook::Create(values).value();
}

// With steps that grow with the distance from 0: of both signs, so that 0 is a threshold if `size` is even,
// or from 0 on.
Codebook SmoothCodebook(int size, bool is_signed) {
  std::vector<float> values;
  for (int j = 0; j < size; ++j) {
    const double u = is_signed ? (2.0 * j + 1) / size - 1 : static_cast<double>(j) / size;
    values.push_back(static_cast<float>(u * std::abs(u)));
  }
  return Codebook::Create(values).value();
}

std::vector<uint32_t> Bits(absl::Span<const float> values) {
  std::vector<uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

// Numbers of every kind, those at and around thresholds among them.
std::vector<float> Inputs(const Codebook& codebook, size_t n, absl::Span<const float> scales) {
  const Rng rng(2);
  const float odd[] = {0,       -0.0f,  kNan,  -kNan,  kInfinity, -kInfinity, 1e-45f,
                       -1e-45f, 1e-39f, 3e38f, -3e38f, 1e20f,     -1e-20f};
  std::vector<float> x;
  for (size_t i = 0; i < n; ++i) {
    const float scale = scales[i / (n / scales.size())];
    const size_t at = rng.Bits(i) % codebook.size();
    const uint32_t kind = rng.Bits(n + i) % 8;
    const float number = kind < 3 ? codebook.values()[at] : codebook.search().thresholds[at];
    if (kind == 7) {
      x.push_back(odd[rng.Bits(2 * n + i) % std::size(odd)]);
    } else if (kind == 6) {
      x.push_back(rng.Normal(i) * scale);
    } else {
      x.push_back(
          std::nextafter(number * scale, kind % 3 == 0 ? number * scale : (kind % 3 == 1 ? 1e9f : -1e9f)));
    }
  }
  return x;
}

struct Gradients {
  std::vector<float> dx;
  std::vector<double> dvalues, dscales;
};

Gradients Backward(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
                   absl::Span<const float> dy) {
  Gradients g = {std::vector<float>(x.size()), std::vector<double>(codebook.size()),
                 std::vector<double>(scales.size())};
  FakeQuantizeBackward(codebook, x, scales, dy, absl::MakeSpan(g.dx), absl::MakeSpan(g.dvalues),
                       absl::MakeSpan(g.dscales));
  return g;
}

// The slow, obvious twins.
float FakeQuantizeOne(const Codebook& codebook, float x, float scale) {
  return std::isfinite(x) ? codebook.values()[codebook.Nearest(x / scale)] * scale : x;
}
uint8_t QuantizeOne(const Codebook& codebook, float x, float scale) {
  return static_cast<uint8_t>(codebook.Nearest(std::isnan(x) ? 0 : x / scale));
}

// dvalues and dscales with the sums of magnitudes beside them, which bound how far an order of summation can
// be from another.
struct SlowGradients {
  std::vector<float> dx;
  std::vector<double> dvalues, value_magnitudes, dscales, scale_magnitudes;
};
SlowGradients SlowBackward(const Codebook& codebook, absl::Span<const float> x,
                           absl::Span<const float> scales, absl::Span<const float> dy) {
  const size_t length = x.size() / scales.size(), size = codebook.size();
  SlowGradients g = {{},
                     std::vector<double>(size),
                     std::vector<double>(size),
                     std::vector<double>(scales.size()),
                     std::vector<double>(scales.size())};
  for (size_t i = 0; i < x.size(); ++i) {
    const float scale = scales[i / length], q = x[i] / scale;
    const bool inside = x[i] >= codebook.values().front() * scale && x[i] <= codebook.values().back() * scale;
    g.dx.push_back(inside ? dy[i] : 0);
    if (!std::isfinite(x[i])) continue;
    const int code = codebook.Nearest(q);
    g.dvalues[code] += double{dy[i]} * scale;
    g.value_magnitudes[code] += std::abs(double{dy[i]} * scale);
    const double value = codebook.values()[code], error = inside ? value - q : value;
    g.dscales[i / length] += dy[i] * error;
    g.scale_magnitudes[i / length] += std::abs(dy[i] * error);
  }
  return g;
}

TEST(CodebookTest, CreateRefusesWhatIsNoCodebook) {
  const auto message = [](std::vector<float> values) {
    const absl::Status status = Codebook::Create(values).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(message({}), "a codebook has 2 to 256 values, not 0");
  EXPECT_EQ(message({1}), "a codebook has 2 to 256 values, not 1");
  EXPECT_EQ(message(std::vector<float>(257)), "a codebook has 2 to 256 values, not 257");
  EXPECT_EQ(message({0, 1, kInfinity}), "a codebook's values must be finite: value 2 is inf");
  EXPECT_EQ(message({0, kNan, 1}), "a codebook's values must be finite: value 1 is nan");
  EXPECT_EQ(
      message({0, 2, 1}),
      "a codebook's values must be in ascending order: value 2, 1, is below the one before, 2; sort them");
}

TEST(CodebookTest, Accessors) {
  const Codebook codebook = Codebook::Create({-1, -0.0f, 0, 0.5f, 0.5f}).value();
  EXPECT_EQ(Bits(codebook.values()), Bits({-1, 0, 0, 0.5f, 0.5f}));
  EXPECT_EQ(codebook.size(), 5);
  EXPECT_EQ(codebook.bits(), 3);
  EXPECT_EQ(RandomCodebook(2).bits(), 1);
  EXPECT_EQ(RandomCodebook(256).bits(), 8);
}

TEST(CodebookTest, SortValues) {
  std::vector<float> values = {3, kNan, -1, 0, kNan, 2};
  SortValues(absl::MakeSpan(values));
  EXPECT_EQ(std::vector<float>(values.begin(), values.begin() + 4), (std::vector<float>{-1, 0, 2, 3}));
  EXPECT_TRUE(std::isnan(values[4]) && std::isnan(values[5]));
}

TEST(CodebookTest, MiddlesAreRoundedDown) {
  EXPECT_EQ(MiddleRoundedDown(1, 2), 1.5f);
  EXPECT_EQ(MiddleRoundedDown(-1, 1), 0);
  EXPECT_EQ(MiddleRoundedDown(1, std::nextafter(1.0f, 2.0f)), 1);
  EXPECT_EQ(MiddleRoundedDown(-std::nextafter(1.0f, 2.0f), -1), -std::nextafter(1.0f, 2.0f));
  // Where even a double rounds the sum.
  EXPECT_EQ(MiddleRoundedDown(-1e-30f, 1), std::nextafter(0.5f, 0.0f));
  EXPECT_EQ(MiddleRoundedDown(1e-30f, 1), 0.5f);
  EXPECT_EQ(MiddleRoundedDown(-1, 1e-30f), -0.5f);
  EXPECT_EQ(MiddleRoundedDown(-1, -1e-30f), std::nextafter(-0.5f, -1.0f));
  EXPECT_EQ(MiddleRoundedDown(0, 1e-45f), 0);
  EXPECT_EQ(MiddleRoundedDown(-1e-45f, 0), -1e-45f);
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(MiddleRoundedDown(largest, largest), largest);
  EXPECT_EQ(MiddleRoundedDown(-largest, largest), 0);
}

// Distances as integers, in units of 2^-60.
__int128 ToInteger(float number) {
  int exponent;
  const auto significand = static_cast<__int128>(std::ldexp(std::frexp(number, &exponent), 24));
  return significand * (__int128{1} << (exponent - 24 + 60));
}

TEST(CodebookTest, NearestIsNearest) {
  for (const int size : kSizes) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      // Of exponents from -30 to 30, close neighbours and equal ones among them.
      const Rng rng(seed);
      std::vector<float> values;
      for (int j = 0; j < size; ++j) {
        const int exponent = static_cast<int>(rng.Bits(1000 + j) % 61) - 30;
        const float fresh = std::ldexp(rng.Normal(j), seed == 1 ? 0 : exponent);
        values.push_back(j % 4 == 3 ? std::nextafter(values.back(), rng.Uniform(j)) : fresh);
      }
      SortValues(absl::MakeSpan(values));
      const Codebook codebook = Codebook::Create(values).value();
      std::vector<float> numbers = {0, 1e-9f, -1e-9f, 1e9f, -1e9f};
      for (int j = 0; j < size; ++j) {
        const float middle = (values[j] + values[std::max(j - 1, 0)]) / 2;
        for (const float number : {values[j], middle}) {
          for (const float q :
               {number, std::nextafter(number, kInfinity), std::nextafter(number, -kInfinity)}) {
            if (std::abs(q) > 0x1p-30f) numbers.push_back(q);
          }
        }
        numbers.push_back(rng.Normal(5000 + j));
      }
      for (const float q : numbers) {
        int nearest = 0, above = 0;
        __int128 smallest = 0;
        for (int j = 0; j < size; ++j) {
          const __int128 difference = ToInteger(q) - ToInteger(values[j]);
          const __int128 distance = difference < 0 ? -difference : difference;
          if (j == 0 || distance < smallest) nearest = j, smallest = distance;
          if (j > 0) above += 2 * ToInteger(q) > ToInteger(values[j - 1]) + ToInteger(values[j]);
        }
        ASSERT_EQ(codebook.Nearest(q), above) << size << " values, " << q;
        ASSERT_EQ(values[above], values[nearest]) << size << " values, " << q;
      }
    }
  }
}

TEST(CodebookTest, TiesGoToTheLowerValueAndEndsClip) {
  const Codebook codebook = Codebook::Create({-1, 0, 0.5f, 1}).value();
  const std::vector<float> x = {-0.5f, 0.25f, 0.75f, 7, -7, kInfinity, -kInfinity, kNan};
  const float scale = 1;
  std::vector<float> y(x.size());
  FakeQuantize(codebook, x, {&scale, 1}, absl::MakeSpan(y));
  EXPECT_EQ(Bits(y), Bits({-1, 0, 0.5f, 1, -1, kInfinity, -kInfinity, kNan}));
  std::vector<uint8_t> codes(x.size());
  Quantize(codebook, x, {&scale, 1}, absl::MakeSpan(codes));
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 1, 2, 3, 0, 3, 0, 1}));
}

void ExpectForwardIsLikeItsTwin(const Codebook& codebook) {
  for (const size_t length : {1, 3, 15, 16, 17, 70, 1000}) {
    const std::vector<float> scales = {1, 0.3f, 1e-38f, 700};
    const std::vector<float> x = Inputs(codebook, scales.size() * length, scales);
    std::vector<float> y(x.size()), expected, from_codes(x.size()), expected_from_codes;
    std::vector<uint8_t> codes(x.size()), expected_codes;
    for (size_t i = 0; i < x.size(); ++i) {
      const float scale = scales[i / length];
      expected.push_back(FakeQuantizeOne(codebook, x[i], scale));
      expected_codes.push_back(QuantizeOne(codebook, x[i], scale));
      expected_from_codes.push_back(codebook.values()[expected_codes[i]] * scale);
    }
    FakeQuantize(codebook, x, scales, absl::MakeSpan(y));
    EXPECT_EQ(Bits(y), Bits(expected));
    std::vector<float> in_place = x;
    FakeQuantize(codebook, in_place, scales, absl::MakeSpan(in_place));
    EXPECT_EQ(Bits(in_place), Bits(expected));
    Quantize(codebook, x, scales, absl::MakeSpan(codes));
    EXPECT_EQ(codes, expected_codes);
    Dequantize(codebook, codes, scales, absl::MakeSpan(from_codes));
    EXPECT_EQ(Bits(from_codes), Bits(expected_from_codes));
  }
}

TEST(CodebookTest, ForwardIsLikeItsTwin) {
  ForEachTarget([](int64_t target) {
    for (const int size : kSizes) {
      SCOPED_TRACE(absl::StrCat(hwy::TargetName(target), ", ", size, " values"));
      ExpectForwardIsLikeItsTwin(RandomCodebook(size));
      ExpectForwardIsLikeItsTwin(SmoothCodebook(size, true));
      ExpectForwardIsLikeItsTwin(SmoothCodebook(size, false));
    }
  });
}

// Both ways of more than 16 values are among those above, and the worst cases find the slower one.
TEST(CodebookTest, BucketsWhereTheyCanBe) {
  for (const int size : {17, 64, 65, 256}) {
    EXPECT_FALSE(SmoothCodebook(size, true).search().buckets.empty()) << size;
    EXPECT_FALSE(SmoothCodebook(size, false).search().buckets.empty()) << size;
  }
  EXPECT_TRUE(RandomCodebook(200).search().buckets.empty());
  EXPECT_TRUE(Codebook::Create(std::vector<float>(256, 0)).value().search().buckets.empty());
  std::vector<float> dense = {1};
  while (dense.size() < 256) dense.push_back(std::nextafter(dense.back(), 2.0f));
  const Codebook neighbours = Codebook::Create(dense).value();
  EXPECT_TRUE(neighbours.search().buckets.empty());
  ForEachTarget([&](int64_t) { ExpectForwardIsLikeItsTwin(neighbours); });
}

TEST(CodebookTest, ACodeBeyondTheLastIsTheLast) {
  ForEachTarget([](int64_t target) {
    for (const int size : kSizes) {
      const Codebook codebook = RandomCodebook(size);
      const std::vector<uint8_t> codes(100, 255);
      std::vector<float> y(100);
      const float scale = 1;
      Dequantize(codebook, codes, {&scale, 1}, absl::MakeSpan(y));
      EXPECT_EQ(y, std::vector<float>(100, codebook.values().back()))
          << hwy::TargetName(target) << " " << size;
    }
  });
}

TEST(CodebookTest, NoElementsAtAll) {
  const Codebook codebook = RandomCodebook(4);
  const std::vector<float> scales = {1, 2};
  FakeQuantize(codebook, {}, scales, {});
  const Gradients g = Backward(codebook, {}, scales, {});
  EXPECT_EQ(g.dvalues, std::vector<double>(4));
  EXPECT_EQ(g.dscales, std::vector<double>(2));
}

// So many elements that outputs go past the caches, which must not write around them.
TEST(CodebookTest, LargeArraysAreLikeTheirTwinForAnyNumberOfThreads) {
  const size_t n = (size_t{1} << 22) + 5;
  const int size = 64;
  const Codebook codebook = RandomCodebook(size);
  const std::vector<float> scales = {0.7f};
  const std::vector<float> part = Inputs(codebook, 4099, scales);
  std::vector<float> x(n), dy(n), expected(n);
  for (size_t i = 0; i < n; ++i) {
    x[i] = part[i % part.size()];
    dy[i] = part[(i + 7) % part.size()];
    if (!std::isfinite(dy[i]) || std::abs(dy[i]) > 1e6f) dy[i] = 1;
  }
  for (size_t i = 0; i < part.size(); ++i) expected[i] = FakeQuantizeOne(codebook, part[i], scales[0]);
  for (size_t i = part.size(); i < n; ++i) expected[i] = expected[i - part.size()];
  const Gradients first = Backward(codebook, x, scales, dy);
  ForEachThreadCount([&](int threads) {
    for (const size_t offset : {0, 3}) {
      SCOPED_TRACE(absl::StrCat(threads, " threads, offset ", offset));
      std::vector<float> y(n + 8, 42);
      FakeQuantize(codebook, x, scales, absl::MakeSpan(y).subspan(offset, n));
      EXPECT_TRUE(Bits(absl::MakeConstSpan(y).subspan(offset, n)) == Bits(expected));
      std::vector<float> dx(n + 8, 42);
      std::vector<double> dvalues(size), dscales(1);
      FakeQuantizeBackward(codebook, x, scales, dy, absl::MakeSpan(dx).subspan(offset, n),
                           absl::MakeSpan(dvalues), absl::MakeSpan(dscales));
      EXPECT_TRUE(std::equal(first.dx.begin(), first.dx.end(), dx.begin() + offset));
      EXPECT_EQ(dvalues, first.dvalues);
      EXPECT_EQ(dscales, first.dscales);
      for (const std::vector<float>& all : {y, dx}) {
        for (size_t i = 0; i < 8; ++i) EXPECT_EQ(all[i < offset ? i : n + i], 42);
      }
    }
  });
}

TEST(CodebookTest, BackwardIsLikeItsTwinWithTheSameBitsEverywhere) {
  struct {
    size_t rows, length;
  } const shapes[] = {{1, 1}, {3, 7}, {2, 1030}, {330, 200}, {2, 70001}};
  for (const auto& [rows, length] : shapes) {
    for (const int size : kSizes) {
      const Codebook codebook = size % 2 == 0 ? SmoothCodebook(size, true) : RandomCodebook(size);
      const Rng rng(3);
      std::vector<float> scales, dy;
      for (size_t row = 0; row < rows; ++row) scales.push_back(0.1f + rng.Uniform(row));
      const std::vector<float> x = Inputs(codebook, rows * length, scales);
      for (size_t i = 0; i < x.size(); ++i) dy.push_back(rng.Normal(i));
      const SlowGradients slow = SlowBackward(codebook, x, scales, dy);
      const Gradients first = Backward(codebook, x, scales, dy);
      for (int j = 0; j < size; ++j) {
        // Up to 8 values have sums of floats in them, of 64 elements.
        const double rounding = size <= 8 ? 0x1p-19 : 1e-12;
        EXPECT_NEAR(first.dvalues[j], slow.dvalues[j], rounding * slow.value_magnitudes[j]);
      }
      for (size_t row = 0; row < rows; ++row) {  // its terms are rounded to float, twice
        EXPECT_NEAR(first.dscales[row], slow.dscales[row], 0x1p-22 * slow.scale_magnitudes[row] + 1e-45);
      }
      EXPECT_EQ(first.dx, slow.dx);
      if (x.size() > 50000 && size != 16 && size != 256) continue;  // takes long
      ForEachTarget([&](int64_t target) {
        ForEachThreadCount([&](int threads) {
          SCOPED_TRACE(absl::StrCat(hwy::TargetName(target), ", ", threads, " threads, ", size, " values"));
          const Gradients g = Backward(codebook, x, scales, dy);
          EXPECT_EQ(g.dx, first.dx);
          EXPECT_EQ(g.dvalues, first.dvalues);
          EXPECT_EQ(g.dscales, first.dscales);
        });
      });
    }
  }
}

TEST(CodebookTest, GradientsThatAreNotWantedAndPlacesThatAreShared) {
  const Codebook codebook = RandomCodebook(16);
  const std::vector<float> scales = {0.5f, 2};
  const std::vector<float> x = Inputs(codebook, 2000, scales);
  std::vector<float> dy;
  for (size_t i = 0; i < x.size(); ++i) dy.push_back(Rng(3).Normal(i));
  const Gradients all = Backward(codebook, x, scales, dy);
  Gradients g = all;
  std::vector<float> dx = dy;  // dx is dy
  FakeQuantizeBackward(codebook, x, scales, dx, absl::MakeSpan(dx), {}, {});
  EXPECT_EQ(dx, all.dx);
  dx = x;
  FakeQuantizeBackward(codebook, dx, scales, dy, absl::MakeSpan(dx), absl::MakeSpan(g.dvalues), {});
  EXPECT_EQ(dx, all.dx);
  EXPECT_EQ(g.dvalues, all.dvalues);
  FakeQuantizeBackward(codebook, x, scales, dy, absl::MakeSpan(dx), {}, absl::MakeSpan(g.dscales));
  EXPECT_EQ(g.dscales, all.dscales);
}

TEST(CodebookTest, AnOverflowShowsInTheGradientsAndAnInfiniteElementCountsNowhere) {
  const Codebook codebook = Codebook::Create({-1, 0, 1}).value();
  const std::vector<float> x = {0.1f, 1, 1.5f, kInfinity, -kInfinity, kNan}, scales = {1};
  const Gradients finite = Backward(codebook, x, scales, {1, 2, 4, 8, 16, 32});
  EXPECT_EQ(finite.dx, (std::vector<float>{1, 2, 0, 0, 0, 0}));
  EXPECT_EQ(finite.dvalues, (std::vector<double>{0, 1, 6}));
  EXPECT_EQ(finite.dscales, (std::vector<double>{4 - double{0.1f}}));
  const Gradients infinite = Backward(codebook, x, scales, {kInfinity, 2, 4, kNan, kNan, kNan});
  EXPECT_EQ(infinite.dx[0], kInfinity);
  EXPECT_EQ(infinite.dvalues, (std::vector<double>{0, kInfinity, 6}));
  EXPECT_FALSE(std::isfinite(infinite.dscales[0]));
}

}  // namespace
}  // namespace halftone
