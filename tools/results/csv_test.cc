#include "tools/results/csv.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;

TEST(CsvTest, RowsFieldsAndLines) {
  const Csv csv = ParseCsv("a,b\n\n1,\r\n,\n");
  ASSERT_EQ(csv.rows.size(), 3u);
  EXPECT_THAT(csv.rows[0].fields, ElementsAre("a", "b"));
  EXPECT_THAT(csv.rows[1].fields, ElementsAre("1", ""));
  EXPECT_THAT(csv.rows[2].fields, ElementsAre("", ""));
  EXPECT_EQ(csv.rows[1].line, 3u);
  EXPECT_EQ(csv.cut_line, 0u);
}

TEST(CsvTest, Quotes) {
  const Csv csv = ParseCsv("\xef\xbb\xbf\"a,b\",\"say \"\"so\"\"\",c\"d\n\"x\"y,\"\"\n");
  EXPECT_THAT(csv.rows[0].fields, ElementsAre("a,b", "say \"so\"", "c\"d"));
  EXPECT_EQ(csv.rows[0].flaw, "");
  EXPECT_THAT(csv.rows[1].fields, ElementsAre("xy", ""));
  EXPECT_EQ(csv.rows[1].flaw, "text behind a quoted field");
}

TEST(CsvTest, ALineIsReadAsItWasWritten) {
  const std::vector<std::string> rows[] = {{"a", "b"},          {"a", ""},      {"a,b", "c"},
                                           {"say \"so\"", ","}, {"\"", "\"\""}, {"x", "y z", ""}};
  for (const std::vector<std::string>& fields : rows) {
    const Csv csv = ParseCsv(CsvLine(fields) + "\n");
    ASSERT_EQ(csv.rows.size(), 1u) << CsvLine(fields);
    EXPECT_EQ(csv.rows[0].fields, fields) << CsvLine(fields);
    EXPECT_EQ(csv.rows[0].flaw, "");
  }
  EXPECT_EQ(CsvLine(std::vector<std::string>{"one, two", "\"3\"", "4"}), "\"one, two\",\"\"\"3\"\"\",4");
  EXPECT_EQ(CsvLine(std::vector<std::string>{"two\nlines"}), "two lines");
}

TEST(CsvTest, AnOpenQuoteSpoilsItsOwnRowAlone) {
  const Csv csv = ParseCsv("\"a,b\nc,d\n");
  EXPECT_THAT(csv.rows[0].fields, ElementsAre("a,b"));
  EXPECT_EQ(csv.rows[0].flaw, "a quote without an end");
  EXPECT_THAT(csv.rows[1].fields, ElementsAre("c", "d"));
  EXPECT_EQ(csv.rows[1].flaw, "");
}

TEST(CsvTest, ALineWithoutAnEndIsNoRow) {
  const Csv csv = ParseCsv("a,b\n1,2\n3,4");
  EXPECT_EQ(csv.rows.size(), 2u);
  EXPECT_EQ(csv.cut_line, 3u);
  EXPECT_EQ(csv.cut, "3,4");
  EXPECT_EQ(csv.rows[1].end, 8u);
  EXPECT_EQ(ParseCsv("").cut_line, 0u);
  EXPECT_TRUE(ParseCsv("").rows.empty());
}

// Wherever a table is cut, the rows before the cut are those of the whole.
TEST(CsvTest, EveryCut) {
  const std::string whole = "h,i\n\"a\"\"\",1\nb,\"2,3\"\r\n\nc,4\n";
  const Csv all = ParseCsv(whole);
  for (size_t length = 0; length < whole.size(); ++length) {
    const Csv csv = ParseCsv(whole.substr(0, length));
    EXPECT_EQ(csv.cut_line == 0, length == 0 || whole[length - 1] == '\n') << length;
    ASSERT_LE(csv.rows.size(), all.rows.size());
    for (size_t i = 0; i < csv.rows.size(); ++i) EXPECT_EQ(csv.rows[i].fields, all.rows[i].fields);
  }
}

TEST(CsvTest, AnyBytes) {
  std::minstd_rand random(7);
  constexpr char kBytes[] = {',', '"', '\n', '\r', 'a', '\0', '\xef', '\xff'};
  for (int trial = 0; trial < 2000; ++trial) {
    std::string bytes(random() % 64, ' ');
    size_t ends = 0, content = 0;
    for (char& c : bytes) {
      c = kBytes[random() % sizeof(kBytes)];
      ends += c == '\n';
    }
    const Csv csv = ParseCsv(bytes);
    EXPECT_LE(csv.rows.size(), ends);
    for (const CsvRow& row : csv.rows) {
      EXPECT_FALSE(row.fields.empty());
      for (const std::string& field : row.fields) content += field.size() + 1;
    }
    EXPECT_LE(content, bytes.size() + csv.rows.size());
  }
}

}  // namespace
}  // namespace halftone
