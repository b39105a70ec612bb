// IDX, CIFAR and tables of text.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void ExpectRefused(absl::string_view name, absl::string_view bytes, const std::string& message) {
  const std::string path = TempFile(name, bytes);
  const absl::Status status = ReadAll(path);
  EXPECT_FALSE(status.ok()) << message;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  ExpectOneLine(status, path);
}

std::string Idx(char type, const std::vector<uint32_t>& dims, absl::string_view data) {
  std::string bytes({0, 0, type, static_cast<char>(dims.size())});
  for (const uint32_t d : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(d >> shift);
  }
  return absl::StrCat(bytes, data);
}

TEST(IdxTest, EveryType) {
  const struct {
    char code;
    ElementType type;
    absl::string_view minus_two;
    double value;
  } kRows[] = {{8, ElementType::kU8, "\xfe", 254},
               {9, ElementType::kI8, "\xfe", -2},
               {11, ElementType::kI16, "\xff\xfe", -2},
               {12, ElementType::kI32, "\xff\xff\xff\xfe", -2},
               {13, ElementType::kF32, absl::string_view("\xc0\0\0\0", 4), -2},
               {14, ElementType::kF64, absl::string_view("\xc0\0\0\0\0\0\0\0", 8), -2}};
  for (const auto& row : kRows) {
    const std::string zero(row.minus_two.size(), '\0');
    const std::string bytes = Idx(row.code, {2, 1}, absl::StrCat(zero, row.minus_two));
    const auto file = OpenArrayFile(TempFile("by_content", bytes));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->format(), "idx");
    EXPECT_EQ((*file)->arrays()[0].type, row.type);
    EXPECT_EQ((*file)->arrays()[0].shape, Shape({2, 1}));
    EXPECT_THAT(Values(**file, 0), ElementsAre(0, row.value));
  }
}

TEST(IdxTest, WhatIsWrongIsSaid) {
  ExpectRefused("a.idx", "", "the file has 0 bytes; an IDX file has at least 4");
  ExpectRefused("a.idx", absl::string_view("\0\1\10\1", 4), "not an IDX file");
  ExpectRefused("a-ubyte", Idx(10, {1}, "x"), "not an IDX file");
  ExpectRefused("a-ubyte", Idx(8, {2, 3}, "12345"),
                "uint8 of shape [2, 3] takes 6 bytes, but the file has 5");
  ExpectRefused("a-ubyte", Idx(8, {2, 3}, "1234567"), "takes 6 bytes, but the file has 7");
  ExpectRefused("a-ubyte", Idx(14, {~0u, ~0u, ~0u}, ""), "larger than any memory");
  ExpectRefused("a-ubyte", Idx(8, std::vector<uint32_t>(65, 1), "x"), "gives 65 dimensions; at most 64");
  ExpectRefused("a-ubyte", Idx(8, {1, 1}, "").substr(0, 11), "cut short within its header");
}

TEST(IdxDamageTest, CutsAndFlips) {
  const std::string bytes = Idx(11, {2, 2}, "12345678");
  ExpectEveryCutRefused("a.idx", bytes);
  ExpectNoFlipCrashes("a.idx", bytes);
}

TEST(CifarTest, LabelsAndImages) {
  constexpr int kRecords = 700;  // more than a chunk holds
  for (const int labels : {1, 2}) {
    std::string bytes;
    for (int r = 0; r < kRecords; ++r) {
      for (int i = 0; i < labels; ++i) bytes += static_cast<char>((r + i) % 100);
      bytes += std::string(3072, static_cast<char>(r % 251));
    }
    const auto file = OpenArrayFile(TempFile(labels == 1 ? "data_batch_1.bin" : "train.bin", bytes));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->format(), "cifar");
    ASSERT_EQ((*file)->arrays().size(), static_cast<size_t>(labels) + 1);
    EXPECT_EQ((*file)->arrays()[0].name, labels == 1 ? "labels" : "coarse_labels");
    EXPECT_EQ((*file)->arrays()[labels].name, "images");
    EXPECT_EQ((*file)->arrays()[labels].shape, Shape({kRecords, 3, 32, 32}));
    for (int i = 0; i < labels; ++i) {
      const std::vector<double> values = Values(**file, i);
      for (int r = 0; r < kRecords; ++r) ASSERT_EQ(values[r], (r + i) % 100);
    }
    const std::vector<double> pixels = Values(**file, labels);
    for (int r = 0; r < kRecords; ++r) {
      ASSERT_EQ(pixels[r * 3072], r % 251);
      ASSERT_EQ(pixels[r * 3072 + 3071], r % 251);
    }
  }
}

TEST(CifarTest, AnotherSizeIsRefused) {
  ExpectRefused("test_batch.bin", std::string(3072, 'x'),
                "its 3072 bytes are no whole number of records of 3073");
  ExpectRefused("data_batch_2.bin", "", "no whole number of records");
  ExpectRefused("test.bin", std::string(3073, 'x'),
                "records of 3074; for raw numbers, give their element type");
}

std::vector<double> Table(absl::string_view name, absl::string_view text, const Shape& shape) {
  const auto file = OpenArrayFile(TempFile(name, text));
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  EXPECT_EQ((*file)->arrays()[0].shape, shape);
  EXPECT_EQ((*file)->arrays()[0].type, ElementType::kF64);
  return Values(**file, 0);
}

TEST(CsvTest, WhatIsRead) {
  EXPECT_THAT(Table("a.csv", "1,2\n3,4\n", {2, 2}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Table("a.csv", "1,2\r\n3,4", {2, 2}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Table("a.csv", "x,y\n-1e-3, +4 \n", {1, 2}), ElementsAre(-0.001, 4));
  EXPECT_THAT(Table("a.csv", "\xef\xbb\xbf\"a,b\",c\n\"1\",2\n\n", {1, 2}), ElementsAre(1, 2));
  EXPECT_THAT(Table("a.csv", "# made by hand\n1\n# more\n2\n", {2, 1}), ElementsAre(1, 2));
  EXPECT_THAT(Table("a.tsv", "a\tb\n1\t2\n", {1, 2}), ElementsAre(1, 2));
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_THAT(Table("a.csv", "inf,-inf,1e999", {1, 3}), ElementsAre(kInf, -kInf, kInf));
  EXPECT_TRUE(std::isnan(Table("a.csv", "nan", {1, 1}).at(0)));
}

TEST(CsvTest, ManyLinesAndChunks) {
  constexpr int kRows = 100'000;
  std::string text = "index,square\n";
  for (int i = 0; i < kRows; ++i) absl::StrAppend(&text, i, ",", int64_t{i} * i, "\n");
  ASSERT_GT(text.size(), kMaxChunkBytes);
  const std::vector<double> values = Table("big.csv", text, {kRows, 2});
  ASSERT_EQ(values.size(), 2u * kRows);
  for (int i = 0; i < kRows; ++i) {
    ASSERT_EQ(values[2 * i], i);
    ASSERT_EQ(values[2 * i + 1], static_cast<double>(i) * i);
  }
}

TEST(CsvTest, WhatIsWrongIsSaidWithItsLine) {
  ExpectRefused("a.csv", "", "no row of numbers");
  ExpectRefused("a.csv", "a,b\n", "no row of numbers");
  ExpectRefused("a.csv", "1,2\n3\n", "line 2: has 1 fields; the lines before it have 2");
  ExpectRefused("a.csv", "a,b\n\n1,2\n1,2,3\n", "line 4: has 3 fields");
  ExpectRefused("a.csv", "a,b,c\n1,2\n", "line 2: has 2 fields; the lines before it have 3");
  ExpectRefused("a.csv", "a,1\n", "line 1: field 1, \"a\", is not a number");
  ExpectRefused("a.csv", "1,2\n3,x\x1b[2J\n", "line 2: field 2, \"x\\x1b[2J\", is not a number");
  ExpectRefused("a.csv", "1,2\n3,\n", "line 2: field 2, \"\", is not a number");
  ExpectRefused("a.csv", "1,2\nc,d\n", "line 2: field 1, \"c\"");
  ExpectRefused("a.csv", absl::string_view("1,2\n1\0,2\n", 9), "line 2: field 1, \"1\\x00\"");
  ExpectRefused("a.csv", "1\n" + std::string(1 << 21, '1'), "line 2: the line is longer than 1048576 bytes");
}

TEST(CsvTest, AFileThatChangesWhileItIsOpen) {
  const std::string path = TempFile("changes.csv", "1,2\n3,4\n");
  const auto file = OpenArrayFile(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::FILE* same = std::fopen(path.c_str(), "r+");
  ASSERT_NE(same, nullptr);
  std::fputs("# 2\n", same);
  ASSERT_EQ(std::fclose(same), 0);
  const absl::Status status = (*file)->ReadChunks(0, [](absl::Span<const char>) { return absl::OkStatus(); });
  EXPECT_THAT(std::string(status.message()), HasSubstr("fewer rows than when it was opened"));
}

TEST(CsvDamageTest, CutsAndFlips) {
  const std::string text = "a,b\n1,2.5\n-3e4,\"5\"\n";
  // A table does not say how long it is: one cut at the end of a row is whole.
  int refused = 0;
  for (size_t n = 0; n < text.size(); ++n) {
    refused += !ReadAll(TempFile("cut.csv", absl::string_view(text).substr(0, n))).ok();
  }
  EXPECT_GT(refused, 10);
  ExpectNoFlipCrashes("a.csv", text);
}

}  // namespace
}  // namespace halftone
