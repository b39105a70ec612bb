#include "datasets/text/unicode.h"

#include <chrono>

#include "gtest/gtest.h"

namespace halftone {
namespace {

std::string Normalized(absl::string_view text, const BertNormalization& options = {}) {
  std::string normalized;
  NormalizeForBert(text, options, normalized);
  return normalized;
}

TEST(UnicodeTest, DecodesWhatIsValidAndNothingElse) {
  const auto decode = [](absl::string_view text) {
    const CodePoint c = DecodeCodePoint(text);
    return std::pair(c.value, c.bytes);
  };
  EXPECT_EQ(decode("a"), std::pair(0x61, 1));
  EXPECT_EQ(decode(absl::string_view("\0", 1)), std::pair(0, 1));
  EXPECT_EQ(decode("\xc3\xa9x"), std::pair(0xe9, 2));
  EXPECT_EQ(decode("\xe6\x9d\xb1"), std::pair(0x6771, 3));
  EXPECT_EQ(decode("\xf0\x9f\x98\x80"), std::pair(0x1f600, 4));
  EXPECT_EQ(decode("\xf4\x8f\xbf\xbf"), std::pair(0x10ffff, 4));
  const std::pair<int32_t, int> invalid(-1, 1);
  EXPECT_EQ(decode("\x80"), invalid);              // a continuation without its start
  EXPECT_EQ(decode("\xc3"), invalid);              // cut
  EXPECT_EQ(decode("\xf0\x9f\x98"), invalid);      // cut
  EXPECT_EQ(decode("\xc0\x80"), invalid);          // overlong
  EXPECT_EQ(decode("\xe0\x80\x80"), invalid);      // overlong
  EXPECT_EQ(decode("\xed\xa0\x80"), invalid);      // a surrogate
  EXPECT_EQ(decode("\xf4\x90\x80\x80"), invalid);  // beyond U+10FFFF
  EXPECT_EQ(decode("\xff"), invalid);
}

TEST(UnicodeTest, PunctuationIsAsciisSymbolsToo) {
  for (const char c : absl::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))
    EXPECT_TRUE(IsBertPunctuation(c)) << c;
  for (const int32_t c : {0xa1, 0xab, 0xb7, 0x2014, 0x2019, 0x2026, 0x203f, 0x3001, 0xff01}) {
    EXPECT_TRUE(IsBertPunctuation(c)) << c;
  }
  for (const char c : absl::string_view("09azAZ \t\x7f")) EXPECT_FALSE(IsBertPunctuation(c)) << c;
  // Symbols beyond ASCII are none.
  for (const int32_t c : {0xa3, 0xb0, 0xd7, 0xe9, 0x20ac, 0x2212, 0x4e2d, 0x1f600})
    EXPECT_FALSE(IsBertPunctuation(c)) << c;
}

TEST(UnicodeTest, EachStepCanBeLeftOut) {
  const std::string text = "\xc3\x89 \xe4\xb8\xad";  // É, an ideograph
  EXPECT_EQ(Normalized(text), "e  \xe4\xb8\xad ");
  EXPECT_EQ(Normalized(text, {.lower_case = false}), "E  \xe4\xb8\xad ");
  EXPECT_EQ(Normalized(text, {.strip_accents = false}), "\xc3\xa9  \xe4\xb8\xad ");
  EXPECT_EQ(Normalized(text, {.lower_case = false, .strip_accents = false, .split_cjk = false}), text);
  EXPECT_EQ(Normalized("ABC", {.lower_case = false}), "ABC");
}

TEST(UnicodeTest, MarksComeInCanonicalOrder) {
  // Hangul's tone marks are spacing (Mc), so they stay: U+302E of class 224 goes behind U+1D165 of class 216.
  EXPECT_EQ(Normalized("\xe3\x80\xae\xf0\x9d\x85\xa5"), "\xf0\x9d\x85\xa5\xe3\x80\xae");
  // ... also past a mark that is left out, but not past a letter.
  EXPECT_EQ(Normalized("\xe3\x80\xae\xcc\x81\xf0\x9d\x85\xa5"), "\xf0\x9d\x85\xa5\xe3\x80\xae");
  EXPECT_EQ(Normalized("\xe3\x80\xae"
                       "a\xf0\x9d\x85\xa5"),
            "\xe3\x80\xae"
            "a\xf0\x9d\x85\xa5");
}

TEST(UnicodeTest, InvalidBytesAreLeftOutAndTakeNothingAlong) {
  EXPECT_EQ(Normalized("a\xff"
                       "b"),
            "ab");
  EXPECT_EQ(Normalized("\xe2\x82 film"), " film");
  EXPECT_EQ(Normalized("\xf0\x9f\x98"), "");
  EXPECT_EQ(Normalized("\xe2\x28\xa1"), "(");
}

TEST(UnicodeTest, AMillionAlternatingMarksTakeNoQuadraticTime) {
  std::string marks = "a";
  for (int i = 0; i < 500'000; ++i) marks += "\xcc\x81\xcc\xa3";  // classes 230 and 220
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Normalized(marks), "a");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace halftone
