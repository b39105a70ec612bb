#include "tools/sweep/growing_csv.h"

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone::sweep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kHeader[] = "a,b";

class GrowingCsvTest : public ::testing::Test {
 protected:
  GrowingCsvTest()
      : path_(absl::StrCat(::testing::TempDir(), "/growing_csv_test_",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove(path_);
  }
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  std::string Error() {
    const absl::StatusOr<CsvFile> csv = ReadCsv(path_, kHeader);
    EXPECT_FALSE(csv.ok());
    return std::string(csv.status().message());
  }

  const std::string path_;
};

TEST_F(GrowingCsvTest, GrowsByRows) {
  absl::StatusOr<std::unique_ptr<CsvAppender>> csv = CsvAppender::Open(path_, kHeader, 0);
  ASSERT_TRUE(csv.ok()) << csv.status();
  ASSERT_TRUE((*csv)->Append({"1", "x,y"}).ok());
  ASSERT_TRUE((*csv)->Append({"2", "z"}).ok());
  EXPECT_EQ(*ReadFile(path_), "a,b\n1,\"x,y\"\n2,z\n");
  const absl::StatusOr<CsvFile> read = ReadCsv(path_, kHeader);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->rows.size(), 2u);
  EXPECT_THAT(read->rows[0].fields, ElementsAre("1", "x,y"));
  EXPECT_EQ(read->rows[0].end, 12u);
  EXPECT_EQ(read->size, 16);
  EXPECT_EQ(read->cut, "");
}

// At whatever byte the file ends, it goes on after its last whole row.
TEST_F(GrowingCsvTest, ARowThatWasCutIsCutOff) {
  const std::string whole = "a,b\n1,2\n\"3, \",4\n";
  for (size_t size = 0; size <= whole.size(); ++size) {
    Write(whole.substr(0, size));
    const absl::StatusOr<CsvFile> read = ReadCsv(path_, kHeader);
    ASSERT_TRUE(read.ok()) << size << ": " << read.status();
    EXPECT_EQ(read->rows.size(), size < 8 ? 0u : size < whole.size() ? 1u : 2u) << size;
    EXPECT_EQ(read->cut, size <= 4 ? "" : whole.substr(read->size, size - read->size)) << size;
    absl::StatusOr<std::unique_ptr<CsvAppender>> csv = CsvAppender::Open(path_, kHeader, read->size);
    ASSERT_TRUE(csv.ok()) << csv.status();
    ASSERT_TRUE((*csv)->Append({"5", "6"}).ok());
    EXPECT_EQ(*ReadFile(path_), absl::StrCat(whole.substr(0, std::max<int64_t>(4, read->size)), "5,6\n"));
  }
}

TEST_F(GrowingCsvTest, RefusesAnotherFile) {
  Write("a,c\n1,2\n");
  EXPECT_THAT(Error(), HasSubstr(":1: not the header"));
  Write("a,b\n1,2\n3\n");
  EXPECT_THAT(Error(), HasSubstr(":3: 1 columns, expected 2"));
  Write("a,b\n\"1,2\n");
  EXPECT_THAT(Error(), HasSubstr(":2: a quote without an end"));
}

TEST_F(GrowingCsvTest, AFullDiskLeavesWholeRows) {
  absl::StatusOr<std::unique_ptr<CsvAppender>> csv = CsvAppender::Open(path_, kHeader, 0);
  ASSERT_TRUE(csv.ok()) << csv.status();
  ASSERT_TRUE((*csv)->Append({"1", "2"}).ok());
  // A file that may grow by two more bytes is a disk that has two more.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = (*csv)->Append({"3", "4"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("cannot write ", path_)));
  EXPECT_EQ(*ReadFile(path_), "a,b\n1,2\n");
  ASSERT_TRUE((*csv)->Append({"3", "4"}).ok());
  EXPECT_EQ(*ReadFile(path_), "a,b\n1,2\n3,4\n");
}

}  // namespace
}  // namespace halftone::sweep
