#include "tools/text.h"

#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tools/fp16_check/text_table.h"

namespace halftone {
namespace {

TEST(TextTest, Numbers) {
  EXPECT_EQ(NumberText(65504), "6.55e+04");
  EXPECT_EQ(NumberText(0.25), "0.25");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(999999), "999999");
  EXPECT_EQ(CountText(12345678), "1.23e+07");
  EXPECT_EQ(Plural(1, "tensor"), "1 tensor");
  EXPECT_EQ(Plural(0, "tensor"), "0 tensors");
}

TEST(TextTest, PrintableKeepsText) {
  EXPECT_EQ(Printable("layer.0/weight"), "layer.0/weight");
  EXPECT_EQ(Printable("gr\xc3\xb6\xc3\x9f"
                      "e \xe2\x82\xac \xf0\x9f\x99\x82"),
            "gr\xc3\xb6\xc3\x9f"
            "e \xe2\x82\xac \xf0\x9f\x99\x82");
}

TEST(TextTest, PrintableTakesOutWhatSteersAndWhatIsNoUtf8) {
  const std::string replaced = "\xef\xbf\xbd";
  for (const char* bad : {"\x1b", "\n", "\r", "\x7f", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6"}) {
    EXPECT_EQ(Printable(std::string("a") + bad + "b"), "a" + replaced + "b");
  }
  EXPECT_EQ(Printable(std::string("\0", 1)), replaced);
  EXPECT_EQ(Printable("\xff"), replaced);
  EXPECT_EQ(Printable("\x80"), replaced);
  EXPECT_EQ(Printable("\xc3"), replaced);  // cut
  EXPECT_EQ(Printable("\xc3("), replaced + "(");
  EXPECT_EQ(Printable("\xc0\xaf"), replaced + replaced);                                // overlong
  EXPECT_EQ(Printable("\xe0\x80\xaf"), replaced + replaced + replaced);                 // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), replaced + replaced + replaced);                 // a surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), replaced + replaced + replaced + replaced);  // above U+10FFFF
}

TEST(TextTest, ShorteningKeepsBothEnds) {
  EXPECT_EQ(ShortenMiddle("0123456789", 10), "0123456789");
  EXPECT_EQ(ShortenMiddle("0123456789", 9), "012...789");
  EXPECT_EQ(ShortenMiddle("0123456789", 8), "012...89");
  EXPECT_EQ(ShortenMiddle("0123456789", 5), "0...9");
  EXPECT_EQ(ShortenMiddle("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc", 5), "\xc3\xa4...\xc3\xbc");
  EXPECT_EQ(ShortenEnd("0123456789", 6), "012...");
  EXPECT_EQ(ShortenEnd("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6", 4), "\xc3\xa4...");
  EXPECT_EQ(TextWidth("\xc3\xa4\xc3\xb6\xc3\xbc"), 3u);
}

TEST(TextTest, HtmlIsEscaped) {
  EXPECT_EQ(EscapeHtml("<a href='x' b=\"y\">&amp;"), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;");
}

const std::vector<TextColumn> kColumns = {{.heading = "name", .left = true},
                                          {.heading = "first", .dispensable = 1},
                                          {.heading = "second", .dispensable = 2},
                                          {.heading = "verdict", .left = true}};
const std::vector<TableRow> kRows = {
    {.cells = {"short", "1", "22", "safe"}},
    {.cells = {"a.name.that.is.rather.long.weight", "100", "2", "unsafe: 3 overflow, 4 NaN, 50% underflow"}}};

TEST(TextTableTest, ColumnsAlign) {
  EXPECT_EQ(FormatTable(kColumns, kRows, 0, false),
            "name                               first  second  verdict\n"
            "short                                  1      22  safe\n"
            "a.name.that.is.rather.long.weight    100       2  unsafe: 3 overflow, 4 NaN, 50% underflow\n");
  EXPECT_EQ(FormatTable(kColumns, kRows, 200, false), FormatTable(kColumns, kRows, 0, false));
}

TEST(TextTableTest, NamesAreShortenedFirst) {
  EXPECT_EQ(FormatTable(kColumns, kRows, 85, false),
            "name                          first  second  verdict\n"
            "short                             1      22  safe\n"
            "a.name.that.i....long.weight    100       2  unsafe: 3 overflow, 4 NaN, 50% underflow\n");
}

TEST(TextTableTest, ThenTheLastIsCutAndColumnsAreLeftOut) {
  EXPECT_EQ(FormatTable(kColumns, kRows, 64, false),
            "name                      first  verdict\n"
            "short                         1  safe\n"
            "a.name.that...ong.weight    100  unsafe: 3 overflow, 4 NaN, 5...\n");
  EXPECT_EQ(FormatTable(kColumns, kRows, 54, false),
            "name                      verdict\n"
            "short                     safe\n"
            "a.name.that...ong.weight  unsafe: 3 overflow, 4 NaN...\n");
}

TEST(TextTableTest, NoLineIsWiderThanTheTerminal) {
  for (size_t width = 54; width < 100; ++width) {
    const std::string table = FormatTable(kColumns, kRows, width, false);
    for (size_t begin = 0; begin < table.size(); begin = table.find('\n', begin) + 1) {
      EXPECT_LE(table.find('\n', begin) - begin, width);
    }
  }
}

TEST(TextTableTest, ColoursDoNotMoveColumns) {
  EXPECT_EQ(FormatTable({{.heading = "a", .left = true}, {.heading = "b", .left = true}},
                        {{.cells = {"xx", "safe"}, .style = TextStyle::kGood},
                         {.cells = {"y", "none"}, .style = TextStyle::kDim}},
                        0, true),
            "\033[1ma   b\033[0m\nxx  \033[32msafe\033[0m\n\033[2my   none\033[0m\n");
}

}  // namespace
}  // namespace halftone
