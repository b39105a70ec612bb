// Damaged files of torch.save: refused with one line, or read; never a crash.
#include <zip.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/open_array_file.h"
#include "io/test_files.h"
#include "io/zip/zip_testing.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;

TEST(PytorchCorruptTest, Zip) {
  const std::string bytes = *ReadFile("io/testdata/lone.pt");
  ExpectEveryCutRefused("a.pt", bytes);
  ExpectNoFlipCrashes("a.pt", bytes);
}

TEST(PytorchCorruptTest, Legacy) {
  const std::string bytes = *ReadFile("io/testdata/legacy.pt");
  ExpectEveryCutRefused("a.pt", bytes);
  ExpectNoFlipCrashes("a.pt", bytes);
}

// The archive's checksums refuse most of what is changed above; here the pickle's own bytes change.
TEST(PytorchCorruptTest, Pickle) {
  const std::string zip = *ReadFile("io/testdata/lone.pt");
  const size_t begin = zip.find("\x80\5"), end = zip.find("PK", begin);
  ASSERT_NE(begin, std::string::npos);
  const std::string pickle = zip.substr(begin, end - begin);
  const auto read = [](const std::string& damaged) {
    const std::string path = TempFile(
        "pickle.pt", MakeZip({{"a/data.pkl", damaged}, {"a/data/0", std::string(24, 'x')}}, ZIP_CM_STORE));
    const absl::Status status = ReadAll(path);
    if (!status.ok()) ExpectOneLine(status, path);
    return status;
  };
  const size_t stop = pickle.rfind("R\x94.") + 3;
  ASSERT_TRUE(read(pickle.substr(0, stop)).ok()) << read(pickle.substr(0, stop));
  for (size_t n = 0; n < stop; ++n) EXPECT_FALSE(read(pickle.substr(0, n)).ok()) << n;
  int refused = 0;
  for (size_t i = 0; i < stop; ++i) {
    for (const int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string damaged = pickle.substr(0, stop);
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      refused += !read(damaged).ok();
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(PytorchCorruptTest, LegacyFieldsThatLie) {
  const std::string bytes = *ReadFile("io/testdata/legacy.pt");
  const auto message = [&](const std::string& damaged) {
    const std::string path = TempFile("lies.pt", damaged);
    const absl::Status status = ReadAll(path);
    ExpectOneLine(status, path);
    return std::string(status.message());
  };
  EXPECT_THAT(message(bytes + "x"), HasSubstr("1 bytes at the end of the file belong to no storage"));
  std::string version = bytes;
  version.replace(version.find("M\xe9\3."), 3, "M\xea\3");
  EXPECT_THAT(message(version), HasSubstr("not of version 1001"));
  // The weight's six elements.
  const std::string six = absl::StrCat(LittleEndian(6, 8), absl::string_view("\0\0\0\xc0", 4));
  std::string count = bytes;
  ASSERT_NE(count.find(six), std::string::npos);
  count.replace(count.find(six), 8, LittleEndian(uint64_t{1} << 61, 8));
  EXPECT_THAT(message(count), HasSubstr("claims 2305843009213693952 elements"));
}

}  // namespace
}  // namespace halftone
