#include "quant/block_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"
#include "quant/scaled_reference.h"
#include "testing/variations.h"

namespace halftone {
namespace {

using reference::kRoundings;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::array kRules = {BlockScaleRule::kFloor, BlockScaleRule::kCeil, BlockScaleRule::kEven,
                               BlockScaleRule::kRceil};

const BlockFormat& Named(std::string_view name) {
  return *std::find_if(kBlockFormats.begin(), kBlockFormats.end(),
                       [&](const BlockFormat& format) { return format.name == name; });
}

TEST(BlockFormatTest, Rows) {
  std::set<std::string_view> names;
  for (const BlockFormat& format : kBlockFormats) {
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_EQ(format.largest_exponent(), std::ilogb(format.largest_element())) << format.name;
  }
  static_assert(kBlockFormats[4].bits_per_element() == 4.25);  // mxfp4
  static_assert(kBlockFormats[6].bits_per_element() == 4.5);   // nvfp4
  EXPECT_EQ(Named("mxfp8").bits_per_element(), 8.25);
  EXPECT_EQ(Named("mxfp6").bits_per_element(), 6.25);
  EXPECT_EQ(Named("mxint8").bits_per_element(), 8.25);
  EXPECT_EQ(Named("mxfp8").BlocksPerRow(0), 0u);
  EXPECT_EQ(Named("mxfp8").BlocksPerRow(32), 1u);
  EXPECT_EQ(Named("nvfp4").BlocksPerRow(33), 3u);
}

TEST(BlockFormatTest, FoundByName) {
  for (const BlockFormat& format : kBlockFormats) {
    const absl::StatusOr<BlockFormat> found = FindBlockFormat({format.name.data(), format.name.size()});
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->name, format.name);
  }
  EXPECT_EQ(FindBlockFormat("mxfp8_e4m3")->name, "mxfp8");
  EXPECT_EQ(FindBlockFormat("mxfp6_e2m3")->name, "mxfp6");
  const absl::Status error = FindBlockFormat("mxfp5").status();
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      error.message(),
      "unknown block format 'mxfp5'; known: mxfp8, mxfp8_e5m2, mxfp6, mxfp6_e3m2, mxfp4, mxint8, nvfp4, "
      "mxfp8_e4m3, mxfp6_e2m3");
}

// --- The twin: one block at a time, in double but where the format's arithmetic is float.

double CeilLog2(double x) {
  int exponent;
  return std::frexp(x, &exponent) == 0.5 ? exponent - 1 : exponent;
}

int TwinExponent(const BlockFormat& format, BlockScaleRule rule, float amax) {
  if (amax == 0) return -127;
  if (std::isinf(amax)) {
    return rule == BlockScaleRule::kRceil ? 127 : std::min(128 - format.largest_exponent(), 127);
  }
  double exponent = 0;
  switch (rule) {
    case BlockScaleRule::kFloor:
      exponent = std::ilogb(amax) - format.largest_exponent();
      break;
    case BlockScaleRule::kCeil:
      exponent = CeilLog2(amax) - format.largest_exponent();
      break;
    case BlockScaleRule::kEven: {
      const double unit = std::ldexp(1.0, std::max(std::ilogb(amax), -126) - format.mantissa_bits());
      const double rounded = std::floor(amax / unit + 0.5) * unit;
      exponent = rounded == 0 ? -127 : std::ilogb(rounded) - format.largest_exponent();
      break;
    }
    case BlockScaleRule::kRceil: {
      const float quotient = amax / static_cast<float>(format.largest_element());
      exponent = quotient == 0 ? -127 : CeilLog2(quotient);
      break;
    }
  }
  return static_cast<int>(std::clamp(exponent, -127.0, 127.0));
}

struct Twin {
  std::vector<float> y, dequantized;
  std::vector<uint8_t> codes, scales;
};

struct TwinScale {
  uint8_t code;
  double factor, scale;
};

TwinScale ScaleFor(const BlockFormat& format, BlockScaleRule rule, float amax, float g) {
  if (format.scale == BlockScale::kE8m0) {
    if (std::isnan(amax)) return {0xff, 0, kNan};
    const int exponent = TwinExponent(format, rule, amax);
    return {static_cast<uint8_t>(exponent + 127), std::ldexp(1.0, -exponent), std::ldexp(1.0, exponent)};
  }
  if (std::isnan(amax)) return {0x7f, 0, kNan};
  const float wanted = std::clamp(amax / 6.0f / g, 0x1p-6f, 448.0f);
  const uint32_t code = Encode(kFloat8E4m3fn, wanted, Rounding::kNearestEven, Overflow::kSaturate);
  const auto scale = static_cast<float>(Decode(kFloat8E4m3fn, code));
  return {static_cast<uint8_t>(code), (1 / g) / scale, scale * g};
}

// The code and the value of x times factor.
std::pair<uint8_t, double> Element(const BlockFormat& format, float x, double factor, Rounding rounding,
                                   uint32_t random) {
  double q = x * factor;
  if (format.scale == BlockScale::kE4m3) q = static_cast<float>(q);
  if (!format.element) {
    const auto code =
        static_cast<int>(reference::RoundToInteger(std::clamp(q * 64, -128.0, 127.0), rounding, random));
    return {static_cast<uint8_t>(code), code / 64.0};
  }
  const uint32_t code = Encode(*format.element, q, rounding, Overflow::kSaturate, random);
  return {static_cast<uint8_t>(code), Decode(*format.element, code)};
}

float TwinTensorScale(const BlockFormat& format, absl::Span<const float> x) {
  float amax = 0;
  for (const float v : x) {
    if (std::isfinite(v)) amax = std::max(amax, std::fabs(v));
  }
  if (format.scale == BlockScale::kE8m0 || amax == 0) return 1;
  return std::clamp(amax / 2688.0f, 0x1p-120f, 0x1p118f);
}

Twin RunTwin(const BlockFormat& format, absl::Span<const float> x, size_t row_size,
             const BlockOptions& options, absl::Span<const uint32_t> random) {
  Twin twin;
  const float g = options.tensor_scale != 0 ? options.tensor_scale : TwinTensorScale(format, x);
  const auto block = static_cast<size_t>(format.block);
  for (size_t row = 0; row < x.size(); row += row_size) {
    for (size_t begin = row; begin < row + row_size; begin += block) {
      const size_t end = std::min(begin + block, row + row_size);
      float amax = 0, finite_amax = 0;
      for (size_t i = begin; i < end; ++i) {
        if (std::isnan(x[i]) || std::isnan(amax)) {
          amax = kNan;
        } else {
          amax = std::max(amax, std::fabs(x[i]));
        }
        if (std::isfinite(x[i])) finite_amax = std::max(finite_amax, std::fabs(x[i]));
      }
      const TwinScale coded = ScaleFor(format, options.rule, amax, g);
      const TwinScale finite = ScaleFor(format, options.rule, finite_amax, g);
      twin.scales.push_back(coded.code);
      for (size_t i = begin; i < end; ++i) {
        if (std::isfinite(x[i])) {
          const double value = Element(format, x[i], finite.factor, options.rounding, random[i]).second;
          twin.y.push_back(static_cast<float>(std::clamp<double>(value * finite.scale, -FLT_MAX, FLT_MAX)));
        } else {
          twin.y.push_back(x[i]);
        }
        if (std::isnan(amax)) {
          const float kept = std::isfinite(x[i]) ? std::copysign(0.0f, x[i]) : kNan;
          twin.codes.push_back(format.element
                                   ? static_cast<uint8_t>(Encode(*format.element, kept,
                                                                 Rounding::kNearestEven, Overflow::kSaturate))
                                   : 0);
          twin.dequantized.push_back(kNan);
        } else {
          const auto [code, value] = Element(format, x[i], coded.factor, options.rounding, random[i]);
          twin.codes.push_back(code);
          twin.dequantized.push_back(static_cast<float>(value * coded.scale));
        }
      }
    }
  }
  return twin;
}

bool Same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

void ExpectLikeTwin(const BlockFormat& format, const std::vector<float>& x, size_t row_size,
                    const BlockOptions& options) {
  SCOPED_TRACE(testing::Message() << format.name << " rule " << static_cast<int>(options.rule) << " rounding "
                                  << static_cast<int>(options.rounding) << " row " << row_size);
  std::vector<uint32_t> bits(x.size());
  Rng(11).Fill(0, bits.data(), bits.size());
  for (size_t i = 0; i < bits.size(); i += 5) bits[i] = 0;
  const RandomBits random =
      options.rounding == Rounding::kStochastic ? RandomBits(absl::MakeConstSpan(bits)) : RandomBits();
  const Twin twin = RunTwin(format, x, row_size, options, bits);
  std::vector<float> y(x.size()), back(x.size());
  std::vector<uint8_t> codes(x.size()), scales(twin.scales.size());
  float g = 0;
  FakeQuantizeBlocks(format, x, row_size, options, absl::MakeSpan(y), random);
  QuantizeBlocks(format, x, row_size, options, absl::MakeSpan(codes), absl::MakeSpan(scales), &g, random);
  DequantizeBlocks(format, codes, scales, g, row_size, absl::MakeSpan(back));
  EXPECT_EQ(g, options.tensor_scale != 0 ? options.tensor_scale : TwinTensorScale(format, x));
  ASSERT_EQ(scales, twin.scales);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!Same(y[i], twin.y[i]) || codes[i] != twin.codes[i] || !Same(back[i], twin.dequantized[i])) {
      FAIL() << i << ": " << std::hexfloat << x[i] << ": " << y[i] << ", expected " << twin.y[i] << "; code "
             << int{codes[i]} << ", expected " << int{twin.codes[i]} << "; " << back[i] << ", expected "
             << twin.dequantized[i];
    }
  }
}

// Blocks of 32 of all kinds: normal, of all exponents, spread, many ties, zeros, powers of two, subnormal,
// the largest, and with infinities and NaNs.
std::vector<float> Inputs() {
  std::vector<float> x;
  const Rng rng(2);
  const auto add_block = [&](auto element) {
    for (size_t i = 0; i < 32; ++i) x.push_back(static_cast<float>(element(i, rng.Normal(x.size()))));
  };
  for (int e = -149; e <= 126; e += 3) {
    add_block([e](size_t, float z) { return std::ldexp(std::clamp(z, -1.99f, 1.99f), e); });
    add_block(
        [e](size_t i, float z) { return i == 7 ? std::ldexp(1.0f, e) : std::ldexp(std::fmod(z, 1.0f), e); });
  }
  for (int i = 0; i < 8; ++i)
    add_block([](size_t, float z) { return std::exp2(z * 8) * (z < 0.3 ? -1 : 1); });
  for (int i = 0; i < 8; ++i) add_block([i](size_t, float z) { return std::nearbyint(z * 200) / (1 << i); });
  for (const float amax :
       {1.0f, 1.5f, 1.75f, 1.96875f, 1.9999999f, 6.0f, 7.0f, 7.5f, 28.0f, 448.0f, 464.0f}) {
    add_block([amax](size_t i, float z) { return i == 9 ? -amax : amax * std::fmod(z, 1.0f); });
  }
  add_block([](size_t, float) { return 0.0f; });
  add_block([](size_t, float) { return -0.0f; });
  add_block([](size_t i, float) { return i == 3 ? -3.0f : 0.0f; });
  for (const float special : {kInf, -kInf, kNan, -kNan, FLT_MAX, -FLT_MAX, 0x1p-149f}) {
    add_block([special](size_t i, float z) { return i == 20 ? special : z; });
  }
  add_block([](size_t i, float z) { return i % 5 == 0 ? kInf : i % 7 == 0 ? kNan : z; });
  add_block([](size_t i, float) { return i % 2 ? kInf : -kInf; });
  add_block([](size_t i, float) { return i % 2 ? kNan : 0; });
  return x;
}

TEST(BlockFormatTest, LikeTwin) {
  const std::vector<float> x = Inputs();
  for (const BlockFormat& format : kBlockFormats) {
    for (const BlockScaleRule rule : kRules) {
      for (const Rounding rounding : kRoundings) {
        ForEachTarget(
            [&](int64_t) { ExpectLikeTwin(format, x, x.size(), {.rule = rule, .rounding = rounding}); });
      }
      if (format.scale == BlockScale::kE4m3) break;  // the rules are MX's
    }
  }
}

// One binade of tensors apart, and with a scale from outside.
TEST(BlockFormatTest, TensorScales) {
  for (const float tensor_scale : {0.0f, 1.0f, 0.01f, 0x1p-120f, 0x1p118f}) {
    for (const float size : {0.0f, 0x1p-149f, 1e-30f, 1e-3f, 1.0f, 3e37f}) {
      std::vector<float> x(160);
      for (size_t i = 0; i < x.size(); ++i) x[i] = Rng(5).Normal(i) * size;
      ForEachTarget([&](int64_t) { ExpectLikeTwin(Named("nvfp4"), x, 80, {.tensor_scale = tensor_scale}); });
    }
  }
}

// Rows of any length: the last block may be shorter.
TEST(BlockFormatTest, RowSizes) {
  for (const BlockFormat& format : {Named("mxfp8"), Named("mxint8"), Named("nvfp4")}) {
    for (const size_t row_size : {1, 7, 15, 16, 17, 31, 32, 33, 48, 63, 64, 100, 2050, 4096}) {
      std::vector<float> x(3 * row_size);
      for (size_t i = 0; i < x.size(); ++i) x[i] = Rng(row_size).Normal(i);
      for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kStochastic}) {
        ForEachTarget([&](int64_t) { ExpectLikeTwin(format, x, row_size, {.rounding = rounding}); });
      }
    }
  }
  // Nothing to do is fine.
  float g = 0;
  QuantizeBlocks(Named("mxfp8"), {}, 5, {}, {}, {}, &g);
  EXPECT_EQ(g, 1);
}

// Many threads, and stores past the cache at any alignment: the same bits as one thread's.
TEST(BlockFormatTest, ManyElements) {
  constexpr size_t kSize = (size_t{4} << 20) + 32 * 77;
  std::vector<float> x(kSize);
  for (size_t i = 0; i < kSize; ++i) x[i] = static_cast<float>(i % 4093) * 0.01f - 20;
  for (const BlockFormat& format : {Named("mxfp6"), Named("nvfp4")}) {
    const Twin twin = RunTwin(format, x, kSize, {}, std::vector<uint32_t>(kSize));
    ForEachThreadCount([&](int) {
      std::vector<float> y(kSize + 32);
      // 64-byte aligned, and not.
      const size_t aligned = (64 - reinterpret_cast<uintptr_t>(y.data()) % 64) % 64 / 4;
      for (const size_t offset : {aligned, aligned + 1}) {
        const absl::Span<float> to = absl::MakeSpan(y).subspan(offset, kSize);
        FakeQuantizeBlocks(format, x, kSize, {}, to);
        for (size_t i = 0; i < kSize; ++i) {
          if (!Same(to[i], twin.y[i])) FAIL() << format.name << " at " << i;
        }
      }
      std::vector<uint8_t> codes(kSize), scales(twin.scales.size());
      float g;
      QuantizeBlocks(format, x, kSize, {}, absl::MakeSpan(codes), absl::MakeSpan(scales), &g);
      EXPECT_EQ(codes, twin.codes);
      EXPECT_EQ(scales, twin.scales);
    });
  }
}

// The examples of the formats: by hand.
TEST(BlockFormatTest, ByHand) {
  std::vector<float> x(32, 0.0f), y(32);
  x[0] = 7;  // floor(log2(7)) - 2 = 0: beyond mxfp4's largest, 6
  x[1] = -2.5f;
  x[2] = 0.25f;  // the middle between 0 and 0.5
  const auto run = [&](std::string_view name, BlockScaleRule rule) {
    FakeQuantizeBlocks(Named(name), x, 32, {.rule = rule}, absl::MakeSpan(y));
    return std::vector<float>{y[0], y[1], y[2]};
  };
  EXPECT_EQ(run("mxfp4", BlockScaleRule::kFloor), (std::vector<float>{6, -2, 0}));
  EXPECT_EQ(run("mxfp4", BlockScaleRule::kCeil), (std::vector<float>{8, -2, 0}));
  EXPECT_EQ(run("mxfp4", BlockScaleRule::kEven), (std::vector<float>{8, -2, 0}));
  EXPECT_EQ(run("mxfp4", BlockScaleRule::kRceil), (std::vector<float>{8, -2, 0}));
  EXPECT_EQ(run("mxfp8", BlockScaleRule::kFloor), (std::vector<float>{7, -2.5f, 0.25f}));
  EXPECT_EQ(run("mxint8", BlockScaleRule::kFloor), (std::vector<float>{7, -2.5f, 0.25f}));
  // amax / 2688 is g; the block's scale is 448 and 7 / 6 = 448 g.
  EXPECT_EQ(run("nvfp4", BlockScaleRule::kFloor)[0], 6 * (448 * (7 / 2688.0f)));
}

TEST(BlockFormatTest, Specials) {
  std::vector<float> x(64, 0.5f), y(64);
  x[3] = kNan;
  x[35] = -kInf;
  FakeQuantizeBlocks(Named("mxfp8"), x, 64, {}, absl::MakeSpan(y));
  for (size_t i = 0; i < 64; ++i) {
    if (i == 3 || i == 35) continue;
    EXPECT_EQ(y[i], 0.5f) << i;
  }
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[35], -kInf);

  std::vector<uint8_t> codes(64), scales(2);
  float g;
  QuantizeBlocks(Named("mxfp8"), x, 64, {}, absl::MakeSpan(codes), absl::MakeSpan(scales), &g);
  EXPECT_EQ(scales, (std::vector<uint8_t>{255, 247}));
  DequantizeBlocks(Named("mxfp8"), codes, scales, g, 64, absl::MakeSpan(y));
  for (size_t i = 0; i < 32; ++i) EXPECT_TRUE(std::isnan(y[i]));
  for (size_t i = 32; i < 64; ++i) EXPECT_EQ(y[i], i == 35 ? -kInf : 0);
}

TEST(BlockFormatTest, MisuseStopsTheProgram) {
  const std::vector<float> x(64, 1);
  std::vector<float> y(64);
  std::vector<uint8_t> codes(64), scales(2);
  float g;
  const BlockFormat& mxfp8 = Named("mxfp8");
  EXPECT_DEATH(FakeQuantizeBlocks(mxfp8, x, 0, {}, absl::MakeSpan(y)), "check failed");
  EXPECT_DEATH(FakeQuantizeBlocks(mxfp8, x, 48, {}, absl::MakeSpan(y)), "check failed");
  EXPECT_DEATH(FakeQuantizeBlocks(mxfp8, x, 64, {}, absl::MakeSpan(y).first(63)), "check failed");
  EXPECT_DEATH(FakeQuantizeBlocks(mxfp8, x, 64, {.rounding = Rounding::kStochastic}, absl::MakeSpan(y)),
               "check failed");
  EXPECT_DEATH(QuantizeBlocks(mxfp8, x, 64, {}, absl::MakeSpan(codes), absl::MakeSpan(scales).first(1), &g),
               "check failed");
  EXPECT_DEATH(DequantizeBlocks(mxfp8, codes, absl::MakeConstSpan(scales).first(1), 1, 64, absl::MakeSpan(y)),
               "check failed");
  EXPECT_DEATH(FakeQuantizeBlocks(Named("nvfp4"), x, 64, {.tensor_scale = kInf}, absl::MakeSpan(y)),
               "check failed");
}

}  // namespace
}  // namespace halftone
