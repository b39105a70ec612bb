#include "io/array_writer.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/test_files.h"
#include "quant/pack.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

using WriterOr = absl::StatusOr<std::unique_ptr<ArrayWriter>>;

// Bytes that tell arrays apart.
std::string Bytes(const FileArray& array) {
  std::string bytes(array.bytes, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + array.name.size());
  return bytes;
}

// Bytes as they are in a file as they are read.
std::string OneAByte(const FileArray& array, const std::string& bytes) {
  const int bits = BitsOf(array.type);
  if (bits >= 8) return bytes;
  std::vector<uint8_t> codes(array.bytes);
  UnpackBits(bits, std::vector<uint8_t>(bytes.begin(), bytes.end()), absl::MakeSpan(codes));
  return std::string(codes.begin(), codes.end());
}

std::string ReadArray(const ArrayFile& file, size_t index) {
  std::string bytes;
  EXPECT_TRUE(file.ReadChunks(index,
                              [&](absl::Span<const char> chunk) {
                                bytes.append(chunk.data(), chunk.size());
                                return absl::OkStatus();
                              })
                  .ok());
  return bytes;
}

// In the folder of a path.
std::vector<std::string> FilesBeside(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path())) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

std::string EmptyFolder(absl::string_view name) {
  const std::string path = TempPath(name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

TEST(ArrayWriterTest, SafetensorsOfEveryType) {
  const std::string path = TempPath("every.safetensors");
  std::vector<FileArray> arrays;
  for (const ElementType type : kAllElementTypes) {
    for (const Shape& shape : {Shape{3, 5}, Shape{}, Shape{0, 2}, Shape{2, 4}}) {
      if (BitsOf(type) < 8 && shape.elements() % 2 != 0) continue;  // ends within a byte
      arrays.push_back({absl::StrCat(NameOf(type), shape.ToString()), type, shape});
    }
  }
  WriterOr writer = ArrayWriter::Create(path, arrays, {{"format", "pt"}, {"note", "\"\n"}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (const FileArray& array : (*writer)->arrays()) {
    const std::string bytes = Bytes(array);  // in two pieces
    ASSERT_TRUE((*writer)->Append({bytes.data(), bytes.size() / 2}).ok());
    ASSERT_TRUE((*writer)->Append({bytes.data() + bytes.size() / 2, bytes.size() - bytes.size() / 2}).ok());
  }
  ASSERT_TRUE((*writer)->Commit().ok());
  EXPECT_EQ(*FileSize(path), static_cast<int64_t>((*writer)->file_bytes()));

  const auto file = OpenArrayFile(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT((*file)->metadata(), ElementsAre(Pair("format", "pt"), Pair("note", "\"\n")));
  ASSERT_EQ((*file)->arrays().size(), arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    const FileArray &read = (*file)->arrays()[i], &written = (*writer)->arrays()[i];
    EXPECT_EQ(read.name, written.name);
    EXPECT_EQ(read.type, written.type);
    EXPECT_EQ(read.shape, written.shape);
    EXPECT_EQ(read.offset, written.offset);
    EXPECT_EQ(read.offset % SizeOf(read.type), 0u) << read.name;
    EXPECT_EQ(ReadArray(**file, i), OneAByte(read, Bytes(written))) << read.name;
  }
}

TEST(ArrayWriterTest, KeepsTheOrderOfElementsOfOneSize) {
  WriterOr writer = ArrayWriter::Create(TempPath("order.safetensors"), {{"b", ElementType::kU8, Shape{3}},
                                                                        {"d", ElementType::kF16, Shape{1}},
                                                                        {"a", ElementType::kF8E5M2, Shape{1}},
                                                                        {"c", ElementType::kBF16, Shape{1}}});
  ASSERT_TRUE(writer.ok());
  std::vector<std::string> names;
  for (const FileArray& array : (*writer)->arrays()) names.push_back(array.name);
  EXPECT_THAT(names, ElementsAre("d", "c", "b", "a"));
}

TEST(ArrayWriterTest, NpyOfEveryTypeThatNumPyHas) {
  for (const ElementType type : kAllElementTypes) {
    for (const bool fortran_order : {false, true}) {
      const std::string path = TempPath("one.npy");
      WriterOr writer = ArrayWriter::Create(path, {{"lost", type, Shape{3, 4}, 0, 0, fortran_order}});
      if (type == ElementType::kBF16 || (IsFloat(type) && BitsOf(type) <= 8)) {
        EXPECT_EQ(writer.status().code(), absl::StatusCode::kUnimplemented);
        EXPECT_THAT(writer.status().message(),
                    AllOf(HasSubstr(absl::StrCat("NumPy has no ", NameOf(type))), HasSubstr("safetensors")));
        continue;
      }
      ASSERT_TRUE(writer.ok()) << writer.status();
      const FileArray array = (*writer)->arrays()[0];
      EXPECT_EQ(array.offset % 64, 0u);
      ASSERT_TRUE((*writer)->Append(Bytes(array)).ok());
      ASSERT_TRUE((*writer)->Commit().ok());

      const auto file = OpenArrayFile(path);
      ASSERT_TRUE(file.ok()) << file.status();
      const FileArray& read = (*file)->arrays()[0];
      EXPECT_EQ(read.name, "one");
      EXPECT_EQ(read.type, type);
      EXPECT_EQ(read.shape, array.shape);
      EXPECT_EQ(read.fortran_order, fortran_order);
      EXPECT_EQ(ReadArray(**file, 0), Bytes(array));
    }
  }
}

TEST(ArrayWriterTest, WithoutCommitNothingIsLeft) {
  const std::string folder = EmptyFolder("uncommitted");
  {
    WriterOr writer = ArrayWriter::Create(folder + "/w.npy", {{"", ElementType::kF32, Shape{2}}});
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Append("1234").ok());
  }
  EXPECT_THAT(FilesBeside(folder + "/w.npy"), ElementsAre());
}

TEST(ArrayWriterTest, Refusals) {
  const std::string folder = EmptyFolder("refused");
  const auto expect_refused = [&](absl::string_view name, std::vector<FileArray> arrays,
                                  absl::string_view message, const ArrayWriter::Metadata& metadata = {}) {
    const std::string path = absl::StrCat(folder, "/", name);
    const absl::Status status = ArrayWriter::Create(path, std::move(arrays), metadata).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(path), HasSubstr(std::string(message))));
  };
  const FileArray one = {"a", ElementType::kF32, Shape{2}};
  expect_refused("w.npz", {one}, "end it with .safetensors or .npy");
  expect_refused("w", {one}, "end it with");
  expect_refused("w.npy", {}, "one array, not 0");
  expect_refused("w.npy", {one, one}, "one array, not 2");
  expect_refused("w.safetensors", {one, one}, "two tensors are named");
  expect_refused("w.safetensors", {{"__metadata__", ElementType::kU8, Shape{}}}, "keeps the name");
  expect_refused("w.safetensors", {{"\xff", ElementType::kU8, Shape{}}}, "not UTF-8");
  expect_refused("w.safetensors", {one}, "not UTF-8", {{"k", "\xff"}});
  expect_refused("w.safetensors", {{"a", ElementType::kF32, Shape{2, 2}, 0, 0, true}}, "Fortran order");
  for (const char* name : {"w.safetensors", "w.npy"}) {
    expect_refused(name, {{"a", ElementType::kF64, Shape{int64_t{1} << 61, 0}}}, "larger than any memory");
    expect_refused(name, {{"a", ElementType::kU8, Shape(std::vector<int64_t>(65, 1))}},
                   "more than 64 dimensions");
  }
  EXPECT_THAT(FilesBeside(folder + "/w"), ElementsAre());
  EXPECT_EQ(ArrayWriter::Create(folder + "/none/w.npy", {one}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ArrayWriterTest, TooManyOrTooFewBytesAreABug) {
  WriterOr writer = ArrayWriter::Create(TempPath("bug.npy"), {{"", ElementType::kU8, Shape{2}}});
  ASSERT_TRUE(writer.ok());
  EXPECT_DEATH((void)(*writer)->Append("123"), "check failed");
  EXPECT_DEATH((void)(*writer)->Commit(), "check failed");
}

}  // namespace
}  // namespace halftone
