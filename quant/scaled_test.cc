#include "quant/scaled.h"

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/codec_testing.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"
#include "quant/formats.h"
#include "quant/scaled_reference.h"
#include "testing/variations.h"

namespace halftone {
namespace {

using reference::kRoundings;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Rows without a grid: they take the way of the codec.
constexpr FloatFormat kUnsigned{"unsigned", 4, 4, 7, false, false, NanCodes::kAllOnes};
constexpr FloatFormat kWide{"smallest values below float's", 8, 7, 127, true, true, NanCodes::kIeee};

std::vector<FloatFormat> AllFormats() {
  std::vector<FloatFormat> formats(kFloatFormats.begin(), kFloatFormats.end());
  formats.insert(formats.end(), {kUnsigned, kWide});
  return formats;
}

uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }

// What FloatsAround has of a format, times scale; cut to a multiple of `rows`.
std::vector<float> Inputs(const FloatFormat& format, const std::vector<float>& scales) {
  std::vector<float> x = reference::FloatsAround(format);
  x.resize(x.size() / scales.size() * scales.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] *= scales[i / (x.size() / scales.size())];
  return x;
}

std::vector<uint32_t> RandomNumbers(size_t n) {
  std::vector<uint32_t> bits(n);
  Rng(5).Fill(0, bits.data(), n);
  for (size_t i = 0; i + 7 < n; i += 7) bits[i] = i % 2 ? 0 : ~0u;
  return bits;
}

RandomBits Random(Rounding rounding, const std::vector<uint32_t>& bits) {
  return rounding == Rounding::kStochastic ? RandomBits(absl::MakeConstSpan(bits)) : RandomBits();
}

void ExpectFloats(const FloatFormat& format, const std::vector<float>& x, const std::vector<float>& scales) {
  const std::vector<uint32_t> bits = RandomNumbers(x.size());
  for (const Rounding rounding : kRoundings) {
    std::vector<reference::Quantized> expected;
    for (size_t i = 0; i < x.size(); ++i) {
      const float scale = scales[i / (x.size() / scales.size())];
      expected.push_back(reference::QuantizeOne(format, x[i], scale, rounding, bits[i]));
    }
    ForEachTarget([&](int64_t target) {
      SCOPED_TRACE(hwy::TargetName(target));
      std::vector<float> y(x.size()), back(x.size());
      std::vector<uint8_t> codes(x.size());
      FakeQuantize(format, x, scales, rounding, absl::MakeSpan(y), Random(rounding, bits));
      if (format.bits() <= 8) {
        Quantize(format, x, scales, rounding, absl::MakeSpan(codes), Random(rounding, bits));
        Dequantize(format, codes, scales, absl::MakeSpan(back));
      }
      for (size_t i = 0; i < x.size(); ++i) {
        // Not by ASSERT_EQ: there are millions.
        if (Bits(y[i]) != Bits(expected[i].y)) {
          FAIL() << std::hexfloat << x[i] << " rounding " << static_cast<int>(rounding) << ": " << y[i];
        }
        if (format.bits() > 8) continue;
        if (codes[i] != expected[i].code) {
          FAIL() << std::hexfloat << x[i] << " rounding " << static_cast<int>(rounding) << ": "
                 << int{codes[i]};
        }
        const float scale = scales[i / (x.size() / scales.size())];
        const float value = static_cast<float>(Decode(format, codes[i])) * scale;
        if (Bits(back[i]) != Bits(value) && !(std::isnan(back[i]) && std::isnan(value))) {
          FAIL() << int{codes[i]} << ": " << back[i];
        }
      }
    });
  }
}

TEST(ScaledTest, FloatsLikeTwin) {
  for (const FloatFormat& format : AllFormats()) {
    SCOPED_TRACE(format.name);
    for (const std::vector<float>& scales :
         {std::vector<float>{1}, {0.37f, 0x1p-3f, 71.3f}, {FLT_MIN}, {1e36f}}) {
      ExpectFloats(format, Inputs(format, scales), scales);
    }
  }
}

void ExpectIntegers(const IntegerFormat& format, const std::vector<float>& x,
                    const std::vector<float>& scales, const std::vector<int32_t>& zero_points) {
  const std::vector<uint32_t> bits = RandomNumbers(x.size());
  const size_t row_size = x.size() / scales.size();
  for (const Rounding rounding : kRoundings) {
    std::vector<reference::Quantized> expected;
    for (size_t i = 0; i < x.size(); ++i) {
      const int zero_point = zero_points.empty() ? 0 : zero_points[i / row_size];
      expected.push_back(
          reference::QuantizeOne(format, x[i], scales[i / row_size], zero_point, rounding, bits[i]));
    }
    ForEachTarget([&](int64_t target) {
      SCOPED_TRACE(hwy::TargetName(target));
      std::vector<float> y(x.size()), back(x.size());
      std::vector<uint8_t> codes(x.size());
      const RandomBits random = Random(rounding, bits);
      FakeQuantize(format, x, scales, zero_points, rounding, absl::MakeSpan(y), random);
      Quantize(format, x, scales, zero_points, rounding, absl::MakeSpan(codes), random);
      Dequantize(format, codes, scales, zero_points, absl::MakeSpan(back));
      for (size_t i = 0; i < x.size(); ++i) {
        if (Bits(y[i]) != Bits(expected[i].y) || codes[i] != expected[i].code) {
          FAIL() << format.name << " " << std::hexfloat << x[i] << " rounding " << static_cast<int>(rounding)
                 << " random " << bits[i] << ": " << y[i] << ", " << int{codes[i]};
        }
        const int zero_point = zero_points.empty() ? 0 : zero_points[i / row_size];
        const int value = static_cast<int8_t>(codes[i]) - zero_point;
        if (Bits(back[i]) != Bits(static_cast<float>(value) * scales[i / row_size])) {
          FAIL() << format.name << " " << int{codes[i]} << ": " << back[i];
        }
      }
    });
  }
}

// Around every integer and middle, beyond the range, and floats of all exponents.
std::vector<float> IntegerInputs(const std::vector<float>& scales) {
  std::vector<float> x;
  for (int i = -600; i <= 600; ++i) {
    const float middle = static_cast<float>(i) * 0.5f;
    x.insert(x.end(), {std::nextafter(middle, -kInf), middle, std::nextafter(middle, kInf), middle + 0.2f});
  }
  const std::vector<float> others = reference::FloatsAround(kFloat8E5m2);
  x.insert(x.end(), others.begin(), others.end());
  x.resize(x.size() / scales.size() * scales.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] *= scales[i / (x.size() / scales.size())];
  return x;
}

TEST(ScaledTest, IntegersLikeTwin) {
  constexpr IntegerFormat kInt5{"int5", 5, false}, kInt3Affine{"int3_affine", 3, true};
  std::vector<IntegerFormat> formats(kIntegerFormats.begin(), kIntegerFormats.end());
  formats.insert(formats.end(), {kInt5, kInt3Affine});
  const std::vector<float> scales = {1, 0.125f, 3.3e-5f, 7};
  const std::vector<float> x = IntegerInputs(scales), one_row = IntegerInputs({1});
  for (const IntegerFormat& format : formats) {
    ExpectIntegers(format, x, scales, {});
    ExpectIntegers(format, one_row, {1}, {});
    if (!format.affine) continue;
    ExpectIntegers(format, x, scales, {format.lowest(), 1, -1, format.highest()});
    ExpectIntegers(format, one_row, {1}, {1});
  }
}

// A tie goes to the even multiple of the scale whatever the zero point, as in PyTorch's fake_quantize.
TEST(ScaledTest, ZeroPointComesAfterRounding) {
  std::vector<float> y(4);
  FakeQuantize(kIntegerFormats[3], std::vector<float>{0.5f, 1.5f, 2.5f, -0.5f}, {1.0f}, {3},
               Rounding::kNearestEven, absl::MakeSpan(y));
  EXPECT_EQ(y, (std::vector<float>{0, 2, 2, 0}));
}

TEST(ScaledTest, NansAndInfinities) {
  const std::vector<float> x = {kNan, kInf, -kInf, 1e30f, -1e30f};
  std::vector<float> y(5);
  std::vector<uint8_t> codes(5);
  const auto expect_kept = [&] {
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(y[1], kInf);
    EXPECT_EQ(y[2], -kInf);
  };
  FakeQuantize(kFloat8E4m3fn, x, {2.0f}, Rounding::kNearestEven, absl::MakeSpan(y));
  expect_kept();
  EXPECT_EQ(y[3], 896);
  EXPECT_EQ(y[4], -896);
  Quantize(kFloat8E4m3fn, x, {2.0f}, Rounding::kNearestEven, absl::MakeSpan(codes));
  EXPECT_EQ(codes, (std::vector<uint8_t>{0x7f, 0x7e, 0xfe, 0x7e, 0xfe}));
  Quantize(kFloat4E2m1fn, x, {2.0f}, Rounding::kNearestEven, absl::MakeSpan(codes));
  EXPECT_EQ(codes, (std::vector<uint8_t>{0x7, 0x7, 0xf, 0x7, 0xf}));
  FakeQuantize(kIntegerFormats[0], x, {2.0f}, {}, Rounding::kNearestEven, absl::MakeSpan(y));
  expect_kept();
  EXPECT_EQ(y[3], 254);
  EXPECT_EQ(y[4], -254);
  Quantize(kIntegerFormats[3], x, {2.0f}, {-5}, Rounding::kNearestEven, absl::MakeSpan(codes));
  EXPECT_EQ(codes, (std::vector<uint8_t>{0xfb, 0x7f, 0x80, 0x7f, 0x80}));
}

// A finite number stays finite, even where its product with the scale would not.
TEST(ScaledTest, ProductsSaturate) {
  std::vector<float> y(2);
  FakeQuantize(kFloat4E2m1fn, std::vector<float>{FLT_MAX, -FLT_MAX}, {FLT_MAX / 3.9f}, Rounding::kNearestEven,
               absl::MakeSpan(y));
  EXPECT_EQ(y, (std::vector<float>{FLT_MAX, -FLT_MAX}));
  FakeQuantize(kIntegerFormats[0], std::vector<float>{FLT_MAX, -FLT_MAX}, {FLT_MAX / 3.9f}, {},
               Rounding::kNearestEven, absl::MakeSpan(y));
  EXPECT_EQ(y, (std::vector<float>{FLT_MAX, -FLT_MAX}));
}

// Every length up to some vectors, in rows; nothing outside is written.
TEST(ScaledTest, Lengths) {
  constexpr float kGuard = -77;
  std::vector<float> x(400);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 0.37f * static_cast<float>(i) - 70;
  const std::vector<float> scales = {0.5f, 1, 2};
  const std::vector<uint32_t> bits = RandomNumbers(x.size());
  ForEachTarget([&](int64_t) {
    for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
      for (size_t row_size = 0; row_size < 70; ++row_size) {
        const size_t n = 3 * row_size, offset = 1 + row_size % 3;
        const absl::Span<const float> from = absl::MakeConstSpan(x).subspan(offset, n);
        std::vector<float> y(n + 8, kGuard), z(n + 8, kGuard);
        std::vector<uint8_t> codes(n + 8, 77);
        const RandomBits random = Random(rounding, bits);
        FakeQuantize(kFloat8E4m3fn, from, scales, rounding, absl::MakeSpan(y).subspan(4, n), random);
        FakeQuantize(kIntegerFormats[0], from, scales, {}, rounding, absl::MakeSpan(z).subspan(4, n), random);
        Quantize(kFloat8E4m3fn, from, scales, rounding, absl::MakeSpan(codes).subspan(4, n), random);
        for (size_t i = 0; i < y.size(); ++i) {
          if (i < 4 || i >= n + 4) {
            ASSERT_EQ(y[i], kGuard);
            ASSERT_EQ(z[i], kGuard);
            ASSERT_EQ(codes[i], 77);
            continue;
          }
          const float scale = scales[(i - 4) / row_size];
          const reference::Quantized f =
              reference::QuantizeOne(kFloat8E4m3fn, from[i - 4], scale, rounding, bits[i - 4]);
          ASSERT_EQ(y[i], f.y) << row_size << " at " << i;
          ASSERT_EQ(codes[i], f.code) << row_size << " at " << i;
          ASSERT_EQ(
              z[i],
              reference::QuantizeOne(kIntegerFormats[0], from[i - 4], scale, 0, rounding, bits[i - 4]).y);
        }
      }
    }
  });
}

// Enough elements for several threads, and for stores past the cache, at any alignment.
TEST(ScaledTest, ManyElements) {
  constexpr size_t kSize = (size_t{4} << 20) + 3000;
  std::vector<float> x(kSize);
  for (size_t i = 0; i < kSize; ++i) x[i] = static_cast<float>(i % 4093) * 0.01f - 20;
  const std::vector<float> scales = {0.05f, 0.01f, 0.02f, 0.3f};
  std::vector<float> expected(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    expected[i] = reference::QuantizeOne(kIntegerFormats[0], x[i], scales[i / (kSize / 4)], 0,
                                         Rounding::kNearestEven, 0)
                      .y;
  }
  ForEachThreadCount([&](int threads) {
    std::vector<float> y(kSize + 1);
    const absl::Span<float> to = absl::MakeSpan(y).subspan(threads % 2, kSize);
    FakeQuantize(kIntegerFormats[0], x, scales, {}, Rounding::kNearestEven, to);
    for (size_t i = 0; i < kSize; ++i) ASSERT_EQ(to[i], expected[i]) << i;
  });
}

TEST(ScaledTest, StochasticDependsOnNeitherThreadsNorSplit) {
  constexpr size_t kSize = 40000;
  std::vector<float> x(kSize), whole(kSize);
  const Rng rng = Rng(3).Stream(8);
  for (size_t i = 0; i < kSize; ++i) x[i] = rng.Uniform(i) * 20 - 10;
  const Rng bits = Rng(4).AtStep(2);
  FakeQuantize(kFloat8E5m2, x, {0.1f}, Rounding::kStochastic, absl::MakeSpan(whole), RandomBits(bits, 77));
  ForEachThreadCount([&](int) {
    std::vector<float> y(kSize);
    for (const size_t cut : {size_t{0}, size_t{1}, size_t{777}, kSize / 2}) {
      FakeQuantize(kFloat8E5m2, absl::MakeConstSpan(x).first(cut), {0.1f}, Rounding::kStochastic,
                   absl::MakeSpan(y).first(cut), RandomBits(bits, 77));
      FakeQuantize(kFloat8E5m2, absl::MakeConstSpan(x).subspan(cut), {0.1f}, Rounding::kStochastic,
                   absl::MakeSpan(y).subspan(cut), RandomBits(bits, 77 + cut));
      ASSERT_EQ(y, whole);
    }
  });
}

// dx exactly as the twin's; dscales the same on every instruction set and for any number of threads, and near
// the twin's sum.
template <class Run, class Values, class Range>
void ExpectBackward(const std::vector<float>& x, const std::vector<float>& scales, const Run& run,
                    const Values& values, const Range& range) {
  const size_t rows = scales.size(), row_size = x.size() / rows;
  std::vector<float> dy(x.size()), expected(x.size());
  std::vector<double> sums(rows), magnitudes(rows), first;
  for (size_t i = 0; i < x.size(); ++i) dy[i] = Rng(6).Uniform(i) * 2 - 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t row = i / row_size;
    const auto [lowest, highest] = range(row);
    const reference::Gradients g =
        reference::BackwardOne(x[i], scales[row], values(x[i] / scales[row], row), lowest, highest, dy[i]);
    expected[i] = g.dx;
    sums[row] += g.dscale;
    magnitudes[row] += std::fabs(g.dscale);
  }
  ForEachTarget([&](int64_t target) {
    SCOPED_TRACE(hwy::TargetName(target));
    ForEachThreadCount([&](int) {
      std::vector<float> dx(x.size(), 5), without(x.size(), 5);
      std::vector<double> dscales(rows, 5);
      run(dy, absl::MakeSpan(dx), absl::MakeSpan(dscales));
      run(dy, absl::MakeSpan(without), {});
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(Bits(dx[i]), Bits(expected[i])) << x[i] << " at " << i;
        ASSERT_EQ(Bits(without[i]), Bits(expected[i])) << i;
      }
      for (size_t row = 0; row < rows; ++row) {
        EXPECT_NEAR(dscales[row], sums[row], 1e-12 * magnitudes[row]);
      }
      if (first.empty()) first = dscales;
      EXPECT_EQ(dscales, first);
    });
  });
}

std::vector<float> BackwardInputs(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = Rng(8).Normal(i) * 3;
  x[0] = kNan;
  x[1] = kInf;
  x[2] = -kInf;
  for (int i = 0; i < 12; ++i)
    x[3 + static_cast<size_t>(i)] = static_cast<float>(i - 6);  // the ends of ranges
  return x;
}

TEST(ScaledTest, BackwardOfFloats) {
  for (const FloatFormat& format : {kFloat4E2m1fn, kFloat8E4m3fn, kUnsigned, kWide}) {
    for (const size_t row_size : {size_t{7}, size_t{333}, size_t{20000}}) {
      const std::vector<float> scales = {1, 0.25f, 0.01f}, x = BackwardInputs(3 * row_size);
      const auto highest = static_cast<float>(format.largest_finite());
      ExpectBackward(
          x, scales,
          [&](absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dscales) {
            FakeQuantizeBackward(format, x, scales, dy, dx, dscales);
          },
          [&](float q, size_t) {
            const uint32_t code = Encode(format, q, Rounding::kNearestEven, Overflow::kSaturate);
            return static_cast<float>(Decode(format, code));
          },
          [&](size_t) { return std::pair(format.has_sign ? -highest : 0, highest); });
    }
  }
}

TEST(ScaledTest, BackwardOfIntegers) {
  for (const IntegerFormat& format : kIntegerFormats) {
    for (const size_t row_size : {size_t{7}, size_t{5000}}) {
      const std::vector<float> scales = {1, 0.25f, 0.05f}, x = BackwardInputs(3 * row_size);
      std::vector<int32_t> zero_points;
      if (format.affine) zero_points = {0, format.lowest(), 1};
      const auto zero_point = [&](size_t row) { return zero_points.empty() ? 0 : zero_points[row]; };
      ExpectBackward(
          x, scales,
          [&](absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dscales) {
            FakeQuantizeBackward(format, x, scales, zero_points, dy, dx, dscales);
          },
          [](float q, size_t) { return std::nearbyintf(q); },
          [&](size_t row) {
            return std::pair(static_cast<float>(format.lowest() - zero_point(row)),
                             static_cast<float>(format.highest() - zero_point(row)));
          });
    }
  }
}

// The gradient of the scale against finite differences, of what does not change as the scale moves: rounded
// numbers.
TEST(ScaledTest, GradientOfScaleByDifferences) {
  const std::vector<float> x = {0.3f, -1.2f, 2.6f, 9.0f, -9.0f, 3.4f}, dy = {1, 2, -1, 0.5f, 3, 1};
  const IntegerFormat& int4 = kIntegerFormats[1];
  std::vector<float> dx(6), up(6), down(6);
  std::vector<double> dscale(1);
  FakeQuantizeBackward(int4, x, {1.0f}, {}, dy, absl::MakeSpan(dx), absl::MakeSpan(dscale));
  constexpr float kStep = 0x1p-10f;
  FakeQuantize(int4, x, {1 + kStep}, {}, Rounding::kNearestEven, absl::MakeSpan(up));
  FakeQuantize(int4, x, {1 - kStep}, {}, Rounding::kNearestEven, absl::MakeSpan(down));
  double difference = 0;
  for (size_t i = 0; i < 6; ++i) {
    difference += dy[i] * (up[i] - down[i]) / (2.0 * kStep);
    // The estimator takes the rounding for the identity: inside the range -x / scale comes in.
    if (std::fabs(x[i]) <= 7) difference -= dy[i] * x[i];
  }
  EXPECT_NEAR(dscale[0], difference, 1e-5);
}

TEST(ScaledTest, MisuseStopsTheProgram) {
  const std::vector<float> x(6, 1);
  std::vector<float> y(6);
  std::vector<uint8_t> codes(6);
  const auto fake = [&](const std::vector<float>& scales, Rounding rounding) {
    FakeQuantize(kFloat8E4m3fn, x, scales, rounding, absl::MakeSpan(y));
  };
  EXPECT_DEATH(fake({}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({1, 1, 1, 1}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({0}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({FLT_MIN / 2}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({kInf}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({kNan}, Rounding::kNearestEven), "check failed");
  EXPECT_DEATH(fake({1}, Rounding::kStochastic), "check failed");
  EXPECT_DEATH(FakeQuantize(kFloat8E4m3fn, x, {1.0f}, Rounding::kUp, absl::MakeSpan(y).first(5)),
               "check failed");
  EXPECT_DEATH(Quantize(kFloat16, x, {1.0f}, Rounding::kUp, absl::MakeSpan(codes)), "check failed");
  const IntegerFormat& symmetric = kIntegerFormats[0];
  const IntegerFormat& affine = kIntegerFormats[4];
  EXPECT_DEATH(FakeQuantize(symmetric, x, {1.0f}, {1}, Rounding::kUp, absl::MakeSpan(y)), "check failed");
  EXPECT_DEATH(FakeQuantize(affine, x, {1.0f}, {8}, Rounding::kUp, absl::MakeSpan(y)), "check failed");
  EXPECT_DEATH(FakeQuantize(affine, x, {1.0f}, {1, 1}, Rounding::kUp, absl::MakeSpan(y)), "check failed");
}

}  // namespace
}  // namespace halftone
