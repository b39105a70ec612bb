#include "quant/formats.h"

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fp16/codec_testing.h"
#include "fp16/format_reference.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

TEST(FormatsTest, SameAsTwin) {
  for (const FloatFormat& format : kFloatFormats) reference::ExpectSameAsTwin(format);
}

TEST(FormatsTest, BulkCodecLikeScalar) {
  for (const FloatFormat& format : kFloatFormats) reference::ExpectCodecLikeScalar(format);
}

TEST(FormatsTest, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const FloatFormat& format : kFloatFormats)
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
}

TEST(FormatsTest, FoundByName) {
  const auto found = [](absl::string_view name) {
    const absl::StatusOr<FloatFormat> format = FindFloatFormat(name);
    return format.ok() ? format->name : std::string_view("none");
  };
  for (const FloatFormat& format : kFloatFormats) {
    EXPECT_EQ(found({format.name.data(), format.name.size()}), format.name);
  }
  for (const char* name : {"half", "fp16", "f16"}) EXPECT_EQ(found(name), "float16") << name;
  EXPECT_EQ(found("bf16"), "bfloat16");
  for (const char* name : {"fp8_e4m3", "e4m3", "fp8_e4m3fn", "e4m3fn"}) {
    EXPECT_EQ(found(name), "float8_e4m3fn") << name;
  }
  for (const char* name : {"fp8_e5m2", "e5m2"}) EXPECT_EQ(found(name), "float8_e5m2") << name;
  for (const char* name : {"fp6_e2m3", "e2m3"}) EXPECT_EQ(found(name), "float6_e2m3fn") << name;
  for (const char* name : {"fp6_e3m2", "e3m2"}) EXPECT_EQ(found(name), "float6_e3m2fn") << name;
  for (const char* name : {"fp4_e2m1", "e2m1"}) EXPECT_EQ(found(name), "float4_e2m1fn") << name;
  for (const char* name : {"e3m4", "e4m3b11fnuz", "e4m3fnuz", "e5m2fnuz"}) {
    EXPECT_EQ(found(name), "float8_" + std::string(name));
  }
  EXPECT_EQ(found("e8m0"), "float8_e8m0fnu");
  for (const char* name : {"", "Half", "fp17", "float16 ", "fp8", "float8_e4m3f"}) {
    EXPECT_EQ(found(name), "none") << name;
  }

  const absl::Status error = FindFloatFormat("fp17").status();
  EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(error.message(),
            "unknown format 'fp17'; known: float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3, "
            "float8_e3m4, float8_e4m3b11fnuz, float8_e4m3fnuz, float8_e5m2fnuz, float6_e2m3fn, "
            "float6_e3m2fn, float4_e2m1fn, float8_e8m0fnu, half, fp16, f16, bf16, fp8_e4m3fn, fp8_e4m3, "
            "e4m3fn, e4m3, fp8_e5m2, e5m2, e3m4, e4m3b11fnuz, e4m3fnuz, e5m2fnuz, fp6_e2m3, e2m3, fp6_e3m2, "
            "e3m2, fp4_e2m1, e2m1, e8m0");
}

// OFP8, the tables of the formats' details.
TEST(FormatsTest, E4m3fn) {
  static_assert(kFloat8E4m3fn.bits() == 8);
  static_assert(kFloat8E4m3fn.largest_finite() == 448);
  static_assert(kFloat8E4m3fn.smallest_normal() == 0x1p-6);
  static_assert(kFloat8E4m3fn.smallest_subnormal() == 0x1p-9);
  static_assert(kFloat8E4m3fn.epsilon() == 0.125);
  static_assert(kFloat8E4m3fn.has_negative_zero());
  static_assert(Decode(kFloat8E4m3fn, 0b0'1111'110) == 448 && Decode(kFloat8E4m3fn, 0b0'0111'000) == 1);
  for (uint32_t code = 0; code < 256; ++code) {
    EXPECT_EQ(IsNan(kFloat8E4m3fn, code), code == 0x7f || code == 0xff);
    EXPECT_FALSE(IsInf(kFloat8E4m3fn, code));
  }
}

TEST(FormatsTest, E5m2) {
  static_assert(kFloat8E5m2.bits() == 8);
  static_assert(kFloat8E5m2.largest_finite() == 57344);
  static_assert(kFloat8E5m2.smallest_normal() == 0x1p-14);
  static_assert(kFloat8E5m2.smallest_subnormal() == 0x1p-16);
  static_assert(kFloat8E5m2.epsilon() == 0.25);
  static_assert(kFloat8E5m2.has_negative_zero());
  for (const uint32_t sign : {0x00u, 0x80u}) {
    EXPECT_TRUE(IsInf(kFloat8E5m2, sign | 0b11111'00));
    for (const uint32_t mantissa : {1, 2, 3}) EXPECT_TRUE(IsNan(kFloat8E5m2, sign | 0b11111'00 | mantissa));
    EXPECT_TRUE(IsFinite(kFloat8E5m2, sign | 0b11110'11));
  }
  // The upper byte of binary16.
  for (uint32_t code = 0; code < 256; ++code) {
    if (!IsNan(kFloat8E5m2, code)) {
      EXPECT_EQ(Decode(kFloat8E5m2, code), Decode(kFloat16, code << 8)) << code;
    }
  }
}

// MX, section 5.3, the tables of the formats' details.
TEST(FormatsTest, Float6AndFloat4) {
  static_assert(kFloat6E2m3fn.bits() == 6 && kFloat6E2m3fn.largest_finite() == 7.5);
  static_assert(kFloat6E2m3fn.smallest_normal() == 1 && kFloat6E2m3fn.smallest_subnormal() == 0.125);
  static_assert(kFloat6E3m2fn.bits() == 6 && kFloat6E3m2fn.largest_finite() == 28);
  static_assert(kFloat6E3m2fn.smallest_normal() == 0.25 && kFloat6E3m2fn.smallest_subnormal() == 0.0625);
  static_assert(kFloat4E2m1fn.bits() == 4);
  const double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (uint32_t code = 0; code < 8; ++code) {
    EXPECT_EQ(Decode(kFloat4E2m1fn, code), magnitudes[code]);
    EXPECT_EQ(Decode(kFloat4E2m1fn, code | 8), -magnitudes[code]);
  }
  for (const FloatFormat& format : {kFloat6E2m3fn, kFloat6E3m2fn, kFloat4E2m1fn}) {
    for (uint32_t code = 0; code < 1u << format.bits(); ++code) EXPECT_TRUE(IsFinite(format, code));
    for (const Overflow overflow : {Overflow::kSaturate, Overflow::kInfinity, Overflow::kNan}) {
      EXPECT_EQ(Encode(format, 1000.0f, Rounding::kNearestEven, overflow), format.largest_finite_code());
    }
  }
}

// MX, section 5.4.
TEST(FormatsTest, E8m0fnu) {
  static_assert(kFloat8E8m0fnu.bits() == 8);
  static_assert(kFloat8E8m0fnu.smallest_normal() == 0x1p-127 && kFloat8E8m0fnu.largest_finite() == 0x1p127);
  static_assert(Decode(kFloat8E8m0fnu, 127) == 1 && Decode(kFloat8E8m0fnu, 0) == 0x1p-127);
  for (uint32_t code = 0; code < 256; ++code) EXPECT_EQ(IsNan(kFloat8E8m0fnu, code), code == 255);
}

// The others, as ml_dtypes' own description has them.
TEST(FormatsTest, OtherFloat8) {
  static_assert(kFloat8E4m3.largest_finite() == 240 && kFloat8E4m3.smallest_subnormal() == 0x1p-9);
  static_assert(kFloat8E3m4.largest_finite() == 15.5 && kFloat8E3m4.smallest_subnormal() == 0x1p-6);
  static_assert(kFloat8E4m3b11fnuz.largest_finite() == 30);
  static_assert(kFloat8E4m3b11fnuz.smallest_subnormal() == 0x1p-13);
  static_assert(kFloat8E4m3fnuz.largest_finite() == 240 && kFloat8E4m3fnuz.smallest_subnormal() == 0x1p-10);
  static_assert(kFloat8E5m2fnuz.largest_finite() == 57344 && kFloat8E5m2fnuz.smallest_subnormal() == 0x1p-17);
  for (const FloatFormat& format : {kFloat8E4m3b11fnuz, kFloat8E4m3fnuz, kFloat8E5m2fnuz}) {
    EXPECT_FALSE(format.has_negative_zero());
    for (uint32_t code = 0; code < 256; ++code) EXPECT_EQ(IsNan(format, code), code == 0x80);
  }
}

// A value that rounds once to one side of a middle and twice to the other: from double by way of float.
TEST(FormatsTest, RoundsOnce) {
  for (const FloatFormat& format : kFloatFormats) {
    if (!format.has_zero()) continue;  // 1.5 becomes 2
    const double middle = 1 + format.epsilon() / 2, above = middle + 0x1p-40;
    const uint32_t one = Encode(format, 1.0, Rounding::kNearestEven, Overflow::kInfinity);
    EXPECT_EQ(Encode(format, middle, Rounding::kNearestEven, Overflow::kInfinity), one) << format.name;
    EXPECT_EQ(Encode(format, above, Rounding::kNearestEven, Overflow::kInfinity), one + 1) << format.name;
    EXPECT_EQ(Encode(format, static_cast<float>(above), Rounding::kNearestEven, Overflow::kInfinity), one)
        << format.name;
  }
}

// OFP8's conversion from wider formats, with and without saturation.
TEST(FormatsTest, Ofp8Overflow) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto encode = [](const FloatFormat& format, float x, Overflow overflow) {
    return Encode(format, x, Rounding::kNearestEven, overflow);
  };
  for (const uint32_t sign : {0x00u, 0x80u}) {
    const float one = sign ? -1.0f : 1.0f;
    EXPECT_EQ(encode(kFloat8E4m3fn, one * 464, Overflow::kInfinity), sign | 0x7e);
    EXPECT_EQ(encode(kFloat8E4m3fn, one * 464.001f, Overflow::kInfinity), sign | 0x7f);
    EXPECT_EQ(encode(kFloat8E4m3fn, one * kInf, Overflow::kInfinity), sign | 0x7f);
    EXPECT_EQ(encode(kFloat8E4m3fn, one * 464.001f, Overflow::kSaturate), sign | 0x7e);
    EXPECT_EQ(encode(kFloat8E4m3fn, one * kInf, Overflow::kSaturate), sign | 0x7e);
    EXPECT_EQ(encode(kFloat8E5m2, one * 61439, Overflow::kInfinity), sign | 0x7b);
    EXPECT_EQ(encode(kFloat8E5m2, one * 61440, Overflow::kInfinity), sign | 0x7c);
    EXPECT_EQ(encode(kFloat8E5m2, one * 61440, Overflow::kNan), sign | 0x7e);
    EXPECT_EQ(encode(kFloat8E5m2, one * kInf, Overflow::kSaturate), sign | 0x7b);
  }
}

}  // namespace
}  // namespace halftone
