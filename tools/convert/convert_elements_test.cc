#include "tools/convert/convert_elements.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/format.h"
#include "gtest/gtest.h"
#include "io/element_type.h"

namespace halftone {
namespace {

std::vector<ElementType> FloatTypes() {
  std::vector<ElementType> types;
  for (const ElementType type : kAllElementTypes) {
    if (IsFloat(type)) types.push_back(type);
  }
  return types;
}

template <typename T>
std::vector<char> BytesOf(const std::vector<T>& values) {
  std::vector<char> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Numbers that every format rounds, and some that none does, as elements of the type.
std::vector<char> Elements(ElementType type, size_t n) {
  const Rng rng(4);
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i)
    values.push_back(std::ldexp(rng.Uniform(i) - 0.5, static_cast<int>(i % 40) - 20));
  values[0] = std::numeric_limits<double>::infinity();
  values[1] = -0.0;
  if (type == ElementType::kF64) return BytesOf(values);
  std::vector<char> bytes;
  for (const double value : values) {
    const uint32_t code = Encode(*FormatOf(type), value, Rounding::kNearestEven, Overflow::kInfinity);
    const char* const start = reinterpret_cast<const char*>(&code);
    bytes.insert(bytes.end(), start, start + SizeOf(type));
  }
  return bytes;
}

TEST(ConvertElementsTest, FormatOfEveryFloatButFloat64) {
  for (const ElementType type : kAllElementTypes) {
    const absl::optional<FloatFormat> format = FormatOf(type);
    ASSERT_EQ(format.has_value(), IsFloat(type) && type != ElementType::kF64) << NameOf(type);
    if (!format.has_value()) continue;
    EXPECT_EQ(format->name, std::string_view(NameOf(type).data(), NameOf(type).size()));
    EXPECT_EQ(format->bits(), BitsOf(type));
  }
}

// Every pair of types, in every rounding mode, in uneven pieces: as the value converted alone.
TEST(ConvertElementsTest, LikeScalar) {
  constexpr size_t kLength = 5003;
  const Rng rng = Rng(2).Stream(5);
  for (const ElementType from : FloatTypes()) {
    const std::vector<char> bytes = Elements(from, kLength);
    std::vector<double> values(kLength);
    ConvertElements(from, bytes, absl::MakeSpan(values));
    for (const ElementType to : FloatTypes()) {
      if (BitsOf(to) < 8) continue;
      for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kUp, Rounding::kStochastic}) {
        const ElementConverter converter(from, to, rounding, Overflow::kSaturate, rng);
        const size_t size = SizeOf(from), cut = 2049;
        std::vector<char> out;
        converter.Append(absl::MakeConstSpan(bytes).first(cut * size), 0, out);
        // A piece of its own memory, aligned as chunks are.
        const std::vector<char> rest(bytes.begin() + static_cast<ptrdiff_t>(cut * size), bytes.end());
        converter.Append(rest, cut, out);
        ASSERT_EQ(out.size(), kLength * SizeOf(to));
        std::vector<double> results(kLength);
        ConvertElements(to, out, absl::MakeSpan(results));
        for (size_t i = 0; i < kLength; ++i) {
          double expected = values[i];
          if (converter.rounds()) {
            const FloatFormat format = *FormatOf(to);
            expected = Decode(format, Encode(format, values[i], rounding, Overflow::kSaturate, rng.Bits(i)));
          }
          if (std::isnan(expected)) {  // whose payloads widths differ in
            ASSERT_TRUE(std::isnan(results[i]));
            continue;
          }
          ASSERT_EQ(std::bit_cast<uint64_t>(results[i]), std::bit_cast<uint64_t>(expected))
              << NameOf(from) << " to " << NameOf(to) << " rounding " << static_cast<int>(rounding) << " at "
              << i;
        }
      }
    }
  }
}

TEST(ConvertElementsTest, RoundsWhereNumbersMayChange) {
  const auto rounds = [](ElementType from, ElementType to) {
    return ElementConverter(from, to, Rounding::kNearestEven, Overflow::kNan, Rng(0)).rounds();
  };
  for (const ElementType from : FloatTypes()) {
    for (const ElementType to : FloatTypes()) {
      const bool wider = to == ElementType::kF64 || (to == ElementType::kF32 && from != ElementType::kF64);
      EXPECT_EQ(rounds(from, to), from != to && !wider) << NameOf(from) << " to " << NameOf(to);
    }
  }
  EXPECT_FALSE(rounds(ElementType::kI8, ElementType::kI8));
}

// Signalling NaNs and all.
TEST(ConvertElementsTest, TheSameTypeIsCopied) {
  const std::vector<char> bytes = BytesOf(std::vector<uint32_t>{0x7f800001, 0xff800000, 0x80000000, 1});
  std::vector<char> out;
  ElementConverter(ElementType::kF32, ElementType::kF32, Rounding::kNearestEven, Overflow::kSaturate, Rng(0))
      .Append(bytes, 0, out);
  EXPECT_EQ(out, bytes);
}

// As files have them: read one a byte, written packed.
TEST(ConvertElementsTest, CodesOfFewerThan8BitsArePacked) {
  const ElementType type = ElementType::kF4E2M1FN;
  const ElementConverter converter(type, type, Rounding::kNearestEven, Overflow::kSaturate, Rng(0));
  std::vector<char> out = {0x55};
  converter.Append(std::vector<char>{1, 2, 3, 4, 5, 6, 7, 8}, 0, out);
  converter.Append(std::vector<char>{9, 10, 11}, 8, out);
  EXPECT_EQ(out, (std::vector<char>{0x55, 0x21, 0x43, 0x65, static_cast<char>(0x87), static_cast<char>(0xa9),
                                    0x0b}));
}

}  // namespace
}  // namespace halftone
