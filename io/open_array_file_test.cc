#include "io/open_array_file.h"

#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/element_type.h"
#include "io/safetensors/safetensors.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Safetensors(absl::string_view dtype, absl::string_view data) {
  const std::string json = absl::StrCat("{\"t\":{\"dtype\":\"", dtype, "\",\"shape\":[", data.size() / 2,
                                        ",2],\"data_offsets\":[0,", data.size(), "]}}");
  return absl::StrCat(LittleEndian(json.size(), 8), json, data);
}

TEST(OpenArrayFileTest, SafetensorsByContentWithTypesThatNoTensorHas) {
  const auto file = OpenArrayFile(TempFile("no_extension", Safetensors("F8_E4M3", "\x38\xb8\x7e\x01")));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->format(), "safetensors");
  ASSERT_EQ((*file)->arrays().size(), 1u);
  EXPECT_EQ((*file)->arrays()[0].name, "t");
  EXPECT_EQ((*file)->arrays()[0].type, ElementType::kF8E4M3FN);
  EXPECT_EQ((*file)->arrays()[0].shape, Shape({2, 2}));
  EXPECT_THAT(Values(**file, 0), ElementsAre(1, -1, 448, 1.0 / 512));
  const auto scales = OpenArrayFile(TempFile("scales", Safetensors("F8_E8M0", "\x7f\x80\x7d\x7f")));
  ASSERT_TRUE(scales.ok()) << scales.status();
  EXPECT_THAT(Values(**scales, 0), ElementsAre(1, 2, 0.25, 1));
  const auto bools = OpenArrayFile(TempFile("bools", Safetensors("BOOL", absl::string_view("\1\0", 2))));
  ASSERT_TRUE(bools.ok()) << bools.status();
  EXPECT_THAT(Values(**bools, 0), ElementsAre(1, 0));
}

// One code a byte once read, in any range.
TEST(OpenArrayFileTest, PackedCodes) {
  const auto open = [](absl::string_view dtype, absl::string_view shape, absl::string_view data) {
    const std::string json = absl::StrCat("{\"t\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                                          ",\"data_offsets\":[0,", data.size(), "]}}");
    return OpenArrayFile(TempFile("packed", absl::StrCat(LittleEndian(json.size(), 8), json, data)));
  };
  const auto f4 = open("F4", "[3,2]", "\x21\x93\xf7");
  ASSERT_TRUE(f4.ok()) << f4.status();
  const FileArray& array = (*f4)->arrays()[0];
  EXPECT_EQ(array.type, ElementType::kF4E2M1FN);
  EXPECT_EQ(array.shape, Shape({3, 2}));
  EXPECT_EQ(array.bytes, 6u);
  EXPECT_THAT(Values(**f4, 0), ElementsAre(0.5, 1, 1.5, -0.5, 6, -6));
  for (uint64_t begin = 0; begin <= 6; ++begin) {
    for (uint64_t end = begin; end <= 6; ++end) {
      std::string codes;
      const absl::Status status = (*f4)->ReadRange(0, begin, end, [&](absl::Span<const char> c) {
        codes.append(c.data(), c.size());
        return absl::OkStatus();
      });
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(codes, std::string("\1\2\3\x9\7\xf").substr(begin, end - begin));
    }
  }
  const auto f6 = open("F6_E3M2", "[4]", "\x4c\xf0\x7d");  // 0b001100, 0b000001, 0b011111, 0b011111
  ASSERT_TRUE(f6.ok()) << f6.status();
  EXPECT_THAT(Values(**f6, 0), ElementsAre(1, 0.0625, 28, 28));
  for (const char* shape : {"[3]", "[5]"}) {
    EXPECT_THAT(open("F4", shape, "\x21\x43").status().message(), HasSubstr("ends within a byte")) << shape;
  }
  EXPECT_THAT(open("F4", "[6]", "\x21\x43").status().message(), HasSubstr("takes 3 bytes"));
  EXPECT_THAT(open("F4", "[4611686018427387904]", "").status().message(),
              HasSubstr("larger than any memory"));
}

TEST(OpenArrayFileTest, EveryArrayOfSafetensorsIsWhatItsReaderReads) {
  Device device;
  const std::string path = "io/testdata/torch.safetensors";
  const auto file = OpenArrayFile(path);
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(file.ok() && reader.ok());
  ASSERT_EQ((*file)->arrays().size(), reader->arrays().size());
  for (size_t i = 0; i < reader->arrays().size(); ++i) {
    const auto tensor = reader->Read(device, reader->arrays()[i].name);
    ASSERT_TRUE(tensor.ok());
    std::string bytes;
    ASSERT_TRUE((*file)
                    ->ReadChunks(i,
                                 [&](absl::Span<const char> c) {
                                   bytes.append(c.data(), c.size());
                                   return absl::OkStatus();
                                 })
                    .ok());
    EXPECT_EQ(bytes, std::string(static_cast<const char*>(tensor->raw()), tensor->bytes()));
  }
}

TEST(OpenArrayFileTest, Npy) {
  for (const char* name :
       {"f8", "f4", "f2", "i8", "i4", "u1", "big_endian_f4", "big_endian_i8", "version2"}) {
    const auto file = OpenArrayFile(absl::StrCat("io/testdata/", name, ".npy"));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->format(), "npy");
    const FileArray& array = (*file)->arrays()[0];
    EXPECT_EQ(array.name, name);
    EXPECT_EQ(array.shape, Shape({2, 3}));
    EXPECT_FALSE(array.fortran_order);
    std::vector<double> expected;
    for (int i = 0; i < 6; ++i) {
      expected.push_back(IsFloat(array.type)              ? i / 2.0 - 2
                         : array.type == ElementType::kU8 ? 3 * i
                                                          : 3 * i - 2);
    }
    EXPECT_EQ(Values(**file, 0), expected) << name;
  }
  const auto fortran = OpenArrayFile("io/testdata/fortran_f4.npy");
  ASSERT_TRUE(fortran.ok());
  EXPECT_TRUE((*fortran)->arrays()[0].fortran_order);
  EXPECT_EQ(Values(**fortran, 0)[1], 4);  // of shape [2, 3, 4]: element [1, 0, 0], the 12th in C order
  const auto bools = OpenArrayFile("io/testdata/refused_bool.npy");
  ASSERT_TRUE(bools.ok()) << bools.status();
  EXPECT_EQ((*bools)->arrays()[0].type, ElementType::kBool);
  EXPECT_EQ(OpenArrayFile("io/testdata/refused_complex.npy").status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(OpenArrayFileTest, RawInManyChunks) {
  std::vector<uint16_t> numbers(3 * kMaxChunkBytes / 4 + 1);
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::string path = TempFile(
      "raw.bin", {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(numbers[0])});
  const auto file = OpenArrayFile(path, {.raw_type = ElementType::kU16});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->format(), "raw");
  EXPECT_EQ((*file)->arrays()[0].name, "raw");
  EXPECT_EQ((*file)->arrays()[0].shape, Shape({static_cast<int64_t>(numbers.size())}));
  EXPECT_EQ(Values(**file, 0), std::vector<double>(numbers.begin(), numbers.end()));
  int calls = 0;
  const absl::Status stopped = (*file)->ReadChunks(0, [&](absl::Span<const char>) {
    ++calls;
    return absl::CancelledError("enough");
  });
  EXPECT_EQ(stopped.message(), "enough");
  EXPECT_EQ(calls, 1);
}

TEST(OpenArrayFileTest, RawMustFitItsTypeAndShape) {
  const std::string path = TempFile("raw_fits.bin", std::string(24, '\0'));
  const auto message = [&](ElementType type, absl::optional<Shape> shape) {
    const absl::Status status = ReadAll(path, {.raw_type = type, .raw_shape = shape});
    if (!status.ok()) ExpectOneLine(status, path);
    return std::string(status.message());
  };
  EXPECT_EQ(message(ElementType::kF32, Shape{2, 3}), "");
  EXPECT_EQ(message(ElementType::kF64, absl::nullopt), "");
  EXPECT_THAT(message(ElementType::kF32, Shape{2, 2}), HasSubstr("takes 16 bytes, but the file has 24"));
  EXPECT_THAT(message(ElementType::kF32, Shape{int64_t{1} << 62}), HasSubstr("larger than any memory"));
  EXPECT_THAT(message(ElementType::kU8, Shape(std::vector<int64_t>(65, 1))),
              HasSubstr("65 dimensions is given; at most 64"));
  EXPECT_EQ(ReadAll(path, {.raw_shape = Shape{6}}).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status odd = ReadAll(TempFile("odd.bin", "abc"), {.raw_type = ElementType::kF16});
  EXPECT_THAT(std::string(odd.message()), HasSubstr("3 bytes are no whole number of float16"));
}

TEST(OpenArrayFileTest, WhatIsNoFormatIsSaid) {
  const std::string path = TempFile("notes.txt", "hello");
  const absl::Status status = ReadAll(path);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("for raw numbers give --dtype and --shape"));
  ExpectOneLine(status, path);
  EXPECT_THAT(std::string(ReadAll(TempFile("a.npy", "hello")).message()), HasSubstr("not a .npy file"));
  EXPECT_THAT(std::string(ReadAll(TempFile("a.safetensors", "hello")).message()), HasSubstr("has 5 bytes"));
  EXPECT_FALSE(ReadAll(TempFile("empty", "")).ok());
  EXPECT_FALSE(ReadAll(TempPath("missing.npy")).ok());
}

TEST(OpenArrayFileDamageTest, Safetensors) {
  const std::string bytes = Safetensors("I16", "abcdefgh");
  ExpectEveryCutRefused("a.safetensors", bytes);
  ExpectNoFlipCrashes("a.safetensors", bytes);
}

TEST(OpenArrayFileDamageTest, Npy) {
  const std::string bytes = *ReadFile("io/testdata/big_endian_f4.npy");
  ExpectEveryCutRefused("a.npy", bytes);
  ExpectNoFlipCrashes("a.npy", bytes);
}

}  // namespace
}  // namespace halftone
