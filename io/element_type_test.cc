#include "io/element_type.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "fp16/format.h"
#include "gtest/gtest.h"
#include "quant/formats.h"

namespace halftone {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

template <typename T>
std::string Bytes(std::vector<T> values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::vector<double> Doubles(ElementType type, const std::string& bytes) {
  std::vector<double> values(bytes.size() / SizeOf(type));
  ConvertElements(type, bytes, absl::MakeSpan(values));
  return values;
}

TEST(ElementTypeTest, NamesAndDTypesAgreeWithTensors) {
  for (const ElementType type : kAllElementTypes) {
    EXPECT_EQ(ElementTypeFromName(NameOf(type)), type);
    const absl::optional<DType> dtype = DTypeOf(type);
    if (!dtype.has_value()) continue;
    EXPECT_EQ(ElementTypeOf(*dtype), type);
    EXPECT_EQ(NameOf(*dtype), NameOf(type));
    EXPECT_EQ(SizeOf(*dtype), SizeOf(type));
    EXPECT_EQ(IsFloat(*dtype), IsFloat(type));
  }
  EXPECT_FALSE(ElementTypeFromName("float12").has_value());
  EXPECT_TRUE(IsFloat(ElementType::kF4E2M1FN));
  EXPECT_FALSE(IsFloat(ElementType::kBool));
}

template <typename T>
void ExpectExtremes(ElementType type) {
  using Limits = std::numeric_limits<T>;
  const std::vector<double> got = Doubles(type, Bytes<T>({Limits::lowest(), T(0), T(1), Limits::max()}));
  EXPECT_EQ(got, (std::vector<double>{static_cast<double>(Limits::lowest()), 0, 1,
                                      static_cast<double>(Limits::max())}))
      << NameOf(type);
}

TEST(ElementTypeTest, ConvertsTheExtremesOfEveryType) {
  ExpectExtremes<double>(ElementType::kF64);
  ExpectExtremes<float>(ElementType::kF32);
  ExpectExtremes<int64_t>(ElementType::kI64);
  ExpectExtremes<int32_t>(ElementType::kI32);
  ExpectExtremes<int16_t>(ElementType::kI16);
  ExpectExtremes<int8_t>(ElementType::kI8);
  ExpectExtremes<uint64_t>(ElementType::kU64);
  ExpectExtremes<uint32_t>(ElementType::kU32);
  ExpectExtremes<uint16_t>(ElementType::kU16);
  ExpectExtremes<uint8_t>(ElementType::kU8);
  EXPECT_EQ(Doubles(ElementType::kF16, Bytes<uint16_t>({0x7bff, 0x8001, 0x7c00})),
            (std::vector<double>{65504, -std::ldexp(1, -24), kInf}));
  EXPECT_EQ(Doubles(ElementType::kBF16, Bytes<uint16_t>({0x3f80, 0xff80, 0x0001})),
            (std::vector<double>{1, -kInf, std::ldexp(1, -133)}));
  EXPECT_EQ(Doubles(ElementType::kBool, std::string("\0\1\xff", 3)), (std::vector<double>{0, 1, 1}));
}

TEST(ElementTypeTest, EveryCodeOfFloat8) {
  std::string codes(256, '\0');
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<char>(i);
  const std::vector<double> e4m3 = Doubles(ElementType::kF8E4M3FN, codes);
  const std::vector<double> e5m2 = Doubles(ElementType::kF8E5M2, codes);
  for (int i = 0; i < 256; ++i) {
    const double sign = i & 0x80 ? -1 : 1;
    const int e4 = i >> 3 & 15, m3 = i & 7, e5 = i >> 2 & 31, m2 = i & 3;
    if ((i & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(e4m3[i])) << i;
    } else {
      EXPECT_EQ(e4m3[i], sign * (e4 == 0 ? std::ldexp(m3, -9) : std::ldexp(8 + m3, e4 - 10))) << i;
    }
    if (e5 == 31) {
      EXPECT_TRUE(m2 == 0 ? e5m2[i] == sign * kInf : std::isnan(e5m2[i])) << i;
    } else {
      EXPECT_EQ(e5m2[i], sign * (e5 == 0 ? std::ldexp(m2, -16) : std::ldexp(4 + m2, e5 - 17))) << i;
    }
    EXPECT_EQ(std::signbit(e5m2[i]) && !std::isnan(e5m2[i]), sign < 0 && !std::isnan(e5m2[i])) << i;
  }
  EXPECT_EQ(e4m3[0x7e], 448);
  EXPECT_EQ(e5m2[0x7b], 57344);
}

// By the formats of the same names; bits beyond theirs do not count.
TEST(ElementTypeTest, EveryByteOfEveryNarrowFloat) {
  std::string bytes(256, '\0');
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<char>(i);
  int narrow = 0;
  for (const ElementType type : kAllElementTypes) {
    if (!IsFloat(type) || BitsOf(type) > 8) continue;
    SCOPED_TRACE(std::string(NameOf(type)));
    ++narrow;
    const FloatFormat format = *FindFloatFormat(NameOf(type));
    EXPECT_EQ(BitsOf(type), format.bits());
    EXPECT_EQ(SizeOf(type), 1u);
    const std::vector<double> values = Doubles(type, bytes);
    for (uint32_t i = 0; i < 256; ++i) {
      const double expected = Decode(format, i % (1u << format.bits()));
      EXPECT_TRUE(values[i] == expected || (std::isnan(values[i]) && std::isnan(expected))) << i;
    }
  }
  EXPECT_EQ(narrow, 8);
}

TEST(ElementTypeTest, FloatsAreRoundedOnce) {
  std::vector<float> to(3);
  ConvertElements(ElementType::kI32, Bytes<int32_t>({16777217, 16777219, -1}), absl::MakeSpan(to));
  EXPECT_EQ(to, (std::vector<float>{16777216, 16777220, -1}));
  ConvertElements(ElementType::kF64, Bytes<double>({1e300, 0.1, -0.0}), absl::MakeSpan(to));
  EXPECT_EQ(to, (std::vector<float>{std::numeric_limits<float>::infinity(), 0.1f, -0.0f}));
}

}  // namespace
}  // namespace halftone
