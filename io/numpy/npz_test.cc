#include <zip.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/test_files.h"
#include "io/zip/zip_testing.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Npy(absl::string_view descr, absl::string_view shape, absl::string_view data) {
  const std::string dict =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }");
  return absl::StrCat(absl::string_view("\x93NUMPY\1\0", 8), LittleEndian(dict.size(), 2), dict, data);
}

const std::vector<ZipTestEntry>& TwoArrays() {
  static const auto* const kEntries = new std::vector<ZipTestEntry>{
      {"first.npy", Npy("<i2", "(2, 2)", absl::string_view("\1\0\2\0\3\0\xff\xff", 8))},
      {"block/weight.npy", Npy(">f4", "(1,)", absl::string_view("\x3f\xc0\0\0", 4))}};
  return *kEntries;
}

TEST(NpzTest, StoredAndDeflated) {
  for (const zip_int32_t method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const auto file = OpenArrayFile(TempFile("by_content", MakeZip(TwoArrays(), method)));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->format(), "npz");
    ASSERT_EQ((*file)->arrays().size(), 2u);
    EXPECT_EQ((*file)->arrays()[0].name, "first");
    EXPECT_EQ((*file)->arrays()[0].type, ElementType::kI16);
    EXPECT_EQ((*file)->arrays()[0].shape, Shape({2, 2}));
    EXPECT_THAT(Values(**file, 0), ElementsAre(1, 2, 3, -1));
    EXPECT_EQ((*file)->arrays()[1].name, "block/weight");
    EXPECT_THAT(Values(**file, 1), ElementsAre(1.5));
    EXPECT_THAT(Values(**file, 0), ElementsAre(1, 2, 3, -1));  // again
  }
}

TEST(NpzTest, ManyChunksEmptyArraysAndEmptyArchives) {
  const size_t bytes = 3 * kMaxChunkBytes + 8;
  std::string data;
  for (size_t i = 0; i < bytes / 8; ++i) data += LittleEndian(i, 8);
  const auto file = OpenArrayFile(
      TempFile("big.npz", MakeZip({{"a.npy", Npy("<u8", absl::StrCat("(", bytes / 8, ",)"), data)},
                                   {"none.npy", Npy("<f4", "(0, 3)", "")}},
                                  ZIP_CM_DEFLATE)));
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<double> values = Values(**file, 0);
  ASSERT_EQ(values.size(), bytes / 8);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<double>(i));
  EXPECT_TRUE(Values(**file, 1).empty());
  const auto nothing = OpenArrayFile(TempFile("nothing.npz", "PK\5\6" + std::string(18, '\0')));
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_TRUE((*nothing)->arrays().empty());
}

void ExpectRefused(const std::string& bytes, absl::string_view message) {
  const std::string path = TempFile("refused.npz", bytes);
  const absl::Status status = ReadAll(path);
  EXPECT_FALSE(status.ok()) << message;
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message)));
  ExpectOneLine(status, path);
}

// The archive's bytes with the field of the directory's first entry that is at `at` set to `value`.
std::string WithDirectoryField(std::string zip, size_t at, uint64_t value, int bytes) {
  const size_t directory = zip.find("PK\1\2");
  HALFTONE_CHECK(directory != std::string::npos);
  return zip.replace(directory + at, bytes, LittleEndian(value, bytes));
}

TEST(NpzTest, EntriesThatAreNoArrays) {
  ExpectRefused(MakeZip({{"notes.txt", "x"}}, ZIP_CM_STORE), "entry \"notes.txt\" is not a .npy file");
  ExpectRefused(MakeZip({{"folder/", ""}}, ZIP_CM_STORE), "entry \"folder/\" is not a .npy file");
  ExpectRefused(MakeZip({{"a.npy", "hello hello"}}, ZIP_CM_STORE), "entry \"a.npy\": not a .npy file");
  ExpectRefused(MakeZip({{"a.npy", ""}}, ZIP_CM_STORE), "entry \"a.npy\": not a .npy file");
  ExpectRefused(MakeZip({{"a.npy", Npy("<c8", "(1,)", "12345678")}}, ZIP_CM_STORE), "dtype \"<c8\"");
  ExpectRefused("hello", "does not begin as a zip archive does");
  ExpectRefused("", "does not begin as a zip archive does");
}

TEST(NpzTest, LiesAboutSizes) {
  const std::string array = Npy("<f4", "(2,)", "12345678");
  ExpectRefused(MakeZip({{"a.npy", Npy("<f4", "(3,)", "12345678")}}, ZIP_CM_DEFLATE),
                "takes 12 bytes, but the file has 8 after its header: it was cut short");
  ExpectRefused(MakeZip({{"a.npy", Npy("<f4", "(1,)", "12345678")}}, ZIP_CM_DEFLATE),
                "takes 4 bytes, but the file has 8 after its header");
  ExpectRefused(MakeZip({{"a.npy", Npy("<f4", "(1000000000000,)", "")}}, ZIP_CM_DEFLATE),
                "takes 4000000000000 bytes");
  // Offsets in a directory's entry: method 10, packed size 20, size 24.
  const std::string deflated = MakeZip({{"a.npy", array}}, ZIP_CM_DEFLATE);
  ExpectRefused(WithDirectoryField(deflated, 24, 4000000000, 4), "cannot unpack to the 4000000000 bytes");
  ExpectRefused(WithDirectoryField(deflated, 24, array.size() + 4, 4), "the file has 12 after its header");
  ExpectRefused(WithDirectoryField(deflated, 20, 1000000, 4), "takes 1000000 bytes of a file of");
  const std::string stored = MakeZip({{"a.npy", array}}, ZIP_CM_STORE);
  ExpectRefused(WithDirectoryField(stored, 24, array.size() + 4, 4), "cannot unpack to");
  // Both the directory and the .npy header say 12 bytes of elements; the packed bytes hold 8.
  const std::string lying = MakeZip({{"a.npy", Npy("<f4", "(3,)", "12345678")}}, ZIP_CM_DEFLATE);
  ExpectRefused(WithDirectoryField(lying, 24, array.size() + 4, 4), "entry");
}

TEST(NpzTest, EntriesThatAreNotRead) {
  const std::string zip = MakeZip({{"a.npy", Npy("<f4", "(2,)", "12345678")}}, ZIP_CM_DEFLATE);
  ExpectRefused(WithDirectoryField(zip, 8, 1, 2), "is encrypted; save it without a password");
  ExpectRefused(WithDirectoryField(zip, 10, 12, 2), "has compression method 12");
}

TEST(NpzTest, DuplicateNames) {
  std::string zip =
      MakeZip({{"a.npy", Npy("<f4", "(1,)", "1234")}, {"b.npy", Npy("<f4", "(1,)", "1234")}}, ZIP_CM_STORE);
  for (size_t at; (at = zip.find("b.npy")) != std::string::npos;) zip[at] = 'a';
  ExpectRefused(zip, "entry \"a.npy\": comes twice in the archive");
}

TEST(NpzTest, EntriesThatShareTheirBytes) {
  const std::string array = Npy("<f4", "(256,)", std::string(1024, 'x'));
  std::string zip = MakeZip({{"a.npy", array}, {"b.npy", array}}, ZIP_CM_STORE);
  // The second entry's offset in the directory, at 42, is set to the first's.
  const size_t second = zip.find("PK\1\2", zip.find("PK\1\2") + 1);
  zip.replace(second + 42, 4, LittleEndian(0, 4));
  // The bytes that no entry has any more are taken out.
  const size_t unused = zip.find("PK\3\4", 4), directory = zip.find("PK\1\2");
  zip.erase(unused, directory - unused);
  const size_t end = zip.find("PK\5\6");
  zip.replace(end + 16, 4, LittleEndian(unused, 4));
  ExpectRefused(zip, "the archive's entries overlap");
}

TEST(NpzTest, AnAbsurdNumberOfEntries) {
  for (const uint64_t entries : {uint64_t{1} << 32, ~uint64_t{0}, uint64_t{100}}) {
    const std::string directory = absl::StrCat(
        "PK\6\6", LittleEndian(44, 8), LittleEndian(0x2d002d, 4), LittleEndian(0, 8),
        LittleEndian(entries, 8), LittleEndian(entries, 8), LittleEndian(46, 8), LittleEndian(4, 8));
    const std::string locator =
        absl::StrCat("PK\6\7", LittleEndian(0, 4), LittleEndian(4, 8), LittleEndian(1, 4));
    const std::string end = absl::StrCat("PK\5\6", LittleEndian(0, 4), LittleEndian(0xffffffff, 4),
                                         LittleEndian(~uint64_t{0}, 8), LittleEndian(0, 2));
    ExpectRefused(absl::StrCat("PK\3\4", directory, locator, end),
                  absl::StrCat("claims ", entries, " entries"));
  }
}

TEST(NpzTest, DamagedElementsFailTheChecksum) {
  std::string zip = MakeZip({{"a.npy", Npy("<f4", "(2,)", "12345678")}}, ZIP_CM_STORE);
  zip[zip.find("12345678")] ^= 1;
  ExpectRefused(zip, "entry \"a.npy\": CRC error");
}

TEST(NpzDamageTest, CutsAndFlips) {
  for (const zip_int32_t method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const std::string zip = MakeZip(TwoArrays(), method);
    ExpectEveryCutRefused("a.npz", zip);
    ExpectNoFlipCrashes("a.npz", zip);
  }
}

}  // namespace
}  // namespace halftone
