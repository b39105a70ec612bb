#include "io/safetensors/safetensors.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<std::string> NamesOf(const SafetensorsReader& reader) {
  std::vector<std::string> names;
  for (const ArrayInfo& info : reader.arrays()) names.push_back(info.name);
  return names;
}

TEST(SafetensorsTest, RoundTripOfEveryDType) {
  Device device;
  std::vector<NamedTensor> tensors;
  for (const DType dtype : kAllDTypes) {
    for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0}, Shape{3, 0, 2}, Shape{1, 1, 1, 1, 7}}) {
      tensors.push_back({absl::StrCat(NameOf(dtype), shape.ToString()), Pattern(device, dtype, shape)});
    }
  }
  const std::string path = TempPath("all.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"step", "17"}, {"note", "\"a\"\n\xc3\xa9"}}).ok());

  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->arrays().size(), tensors.size());
  EXPECT_THAT(reader->metadata(), ElementsAre(Pair("note", "\"a\"\n\xc3\xa9"), Pair("step", "17")));
  for (const NamedTensor& t : tensors) {
    const auto read = reader->Read(device, t.name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameTensor(*read, t.tensor)) << t.name;
  }
  uint64_t next = reader->arrays()[0].offset;
  EXPECT_EQ(next % 8, 0u);
  for (const ArrayInfo& info : reader->arrays()) {
    EXPECT_EQ(info.offset, next);
    EXPECT_EQ(info.offset % SizeOf(info.dtype), 0u) << info.name;
    next += info.bytes;
  }
}

TEST(SafetensorsTest, NoTensorsAtAll) {
  const std::string path = TempPath("none.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, {}).ok());
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE(reader->arrays().empty());
  EXPECT_TRUE(reader->metadata().empty());
}

TEST(SafetensorsTest, EveryBitPatternOfHalvesSurvives) {
  Device device;
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor t = Tensor::Empty(device, dtype, {1 << 16});
    uint16_t* bits = static_cast<uint16_t*>(const_cast<void*>(t.raw()));
    for (int i = 0; i < 1 << 16; ++i) bits[i] = static_cast<uint16_t>(i);
    const std::string path = TempPath("bits.safetensors");
    ASSERT_TRUE(WriteSafetensors(path, {{"t", t}}).ok());
    const auto read = SafetensorsReader::Open(path)->Read(device, "t");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameTensor(*read, t));
  }
}

TEST(SafetensorsTest, TheWriterKeepsTheOrderWithinASizeAndRepeatsItsBytes) {
  Device device;
  const std::vector<NamedTensor> tensors = {{"z", Pattern(device, DType::kF32, {2})},
                                            {"byte", Pattern(device, DType::kU8, {3})},
                                            {"a", Pattern(device, DType::kI32, {2})},
                                            {"double", Pattern(device, DType::kF64, {1})}};
  const std::string path = TempPath("order.safetensors"), again = TempPath("again.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, tensors).ok());
  ASSERT_TRUE(WriteSafetensors(again, tensors).ok());
  EXPECT_EQ(*ReadFile(path), *ReadFile(again));
  EXPECT_THAT(NamesOf(*SafetensorsReader::Open(path)), ElementsAre("double", "z", "a", "byte"));
}

TEST(SafetensorsTest, ReadIntoChecksWhatItFills) {
  Device device;
  const Tensor t = Pattern(device, DType::kF32, {2, 3});
  const std::string path = TempPath("into.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, {{"t", t}}).ok());
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok());

  Tensor same = Tensor::Zeros(device, DType::kF32, {2, 3});
  ASSERT_TRUE(reader->ReadInto("t", same).ok());
  EXPECT_TRUE(SameTensor(same, t));
  std::vector<float> memory(6);
  const auto bytes = [&](size_t n) { return absl::MakeSpan(reinterpret_cast<char*>(memory.data()), n); };
  ASSERT_TRUE(reader->ReadInto("t", bytes(24)).ok());
  EXPECT_EQ(memory[5], 0.5f);

  Tensor transposed = Tensor::Zeros(device, DType::kF32, {3, 2});
  EXPECT_EQ(reader->ReadInto("t", transposed).message(),
            absl::StrCat(path, ": tensor \"t\" is float32 [2, 3], but float32 [3, 2] is wanted"));
  Tensor integers = Tensor::Zeros(device, DType::kI32, {2, 3});
  EXPECT_EQ(reader->ReadInto("t", integers).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reader->ReadInto("t", bytes(20)).message(),
            absl::StrCat(path, ": tensor \"t\" has 24 bytes, but 20 are wanted"));
  EXPECT_EQ(reader->Read(device, "u").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(reader->Find("u"), nullptr);
  EXPECT_EQ(reader->Find("t")->shape, Shape({2, 3}));
}

TEST(SafetensorsTest, AFileCutWhileOpenIsAnError) {
  Device device;
  const std::string path = TempPath("shrinks.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, {{"t", Pattern(device, DType::kF32, {64})}}).ok());
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_EQ(reader->Read(device, "t").status().code(), absl::StatusCode::kDataLoss);
}

TEST(SafetensorsTest, TheWriterRefusesWhatTheFormatCannotHold) {
  Device device;
  const Tensor t = Pattern(device, DType::kF32, {2});
  const std::string path = TempPath("refused.safetensors");
  const auto message = [&](std::vector<NamedTensor> tensors, std::map<std::string, std::string> metadata) {
    const absl::Status status = WriteSafetensors(path, tensors, metadata);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message({{"a", t}, {"b", t}, {"a", t}}, {}), HasSubstr("two tensors are named \"a\""));
  EXPECT_THAT(message({{"__metadata__", t}}, {}), HasSubstr("keeps the name __metadata__"));
  EXPECT_THAT(message({{"\xff", t}}, {}), HasSubstr("\"\\xff\" is not UTF-8"));
  EXPECT_THAT(message({{"a", t}}, {{"k", "\xc3"}}), HasSubstr("\"\\xc3\" is not UTF-8"));
  const Tensor deep = Tensor::Empty(device, DType::kF32, Shape(std::vector<int64_t>(65, 1)));
  EXPECT_THAT(message({{"a", deep}}, {}), HasSubstr("more than 64 dimensions"));
  EXPECT_EQ(FileSize(path).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(WriteSafetensors(TempPath("no/such/folder"), {}).code(), absl::StatusCode::kNotFound);
}

TEST(SafetensorsTest, OnlyRegularFilesAreOpened) {
  EXPECT_EQ(SafetensorsReader::Open(TempPath("absent")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(SafetensorsReader::Open(TempPath("")).status().message()),
              HasSubstr("is not a file"));
  const std::string pipe = TempPath("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(std::string(SafetensorsReader::Open(pipe).status().message()), HasSubstr("is not a file"));
}

TEST(SafetensorsTest, ReadsWhatPythonWrote) {
  Device device;
  const auto reader = SafetensorsReader::Open("io/testdata/torch.safetensors");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT(reader->metadata(),
              ElementsAre(Pair("format", "pt"), Pair("text", "a \"quoted\" line\nand \xc3\xa9")));
  EXPECT_EQ(reader->arrays().size(), 9u);
  const auto expect = [&](absl::string_view name, DType dtype, Shape shape) {
    const auto read = reader->Read(device, name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameTensor(*read, Pattern(device, dtype, shape))) << name;
  };
  for (const DType dtype : kAllDTypes)
    expect(NameOf(dtype), dtype, dtype == DType::kU8 ? Shape{5} : Shape{2, 3});
  expect("scalar", DType::kF32, {});
  expect("empty", DType::kF32, {0, 3});
}

TEST(SafetensorsTest, ReadsTheSharedReferences) {
  if (std::getenv("HALFTONE_SHARED") == nullptr) GTEST_SKIP() << "HALFTONE_SHARED is not set";
  Device device;
  const std::vector<std::string> paths = SharedFiles(".safetensors");
  EXPECT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    const auto reader = SafetensorsReader::Open(path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    for (const ArrayInfo& info : reader->arrays())
      EXPECT_TRUE(reader->Read(device, info.name).ok()) << info.name;
  }
}

TEST(ArrayBytesTest, CountsZerosAsOnesForOverflow) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(ArrayBytes(DType::kF32, {}), 4u);
  EXPECT_EQ(ArrayBytes(DType::kF64, {2, 3}), 48u);
  EXPECT_EQ(ArrayBytes(DType::kF64, {2, 0, 3}), 0u);
  EXPECT_EQ(ArrayBytes(DType::kU8, {kMax}), static_cast<uint64_t>(kMax));
  EXPECT_FALSE(ArrayBytes(DType::kF16, {kMax}).has_value());
  EXPECT_FALSE(ArrayBytes(DType::kU8, {int64_t{1} << 32, int64_t{1} << 31}).has_value());
  EXPECT_FALSE(ArrayBytes(DType::kU8, {int64_t{1} << 32, 0, int64_t{1} << 31}).has_value());
}

}  // namespace
}  // namespace halftone
