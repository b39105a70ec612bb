#include "io/numpy/npy.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;

TEST(NpyTest, RoundTripOfEveryDType) {
  Device device;
  const std::string path = TempPath("round.npy");
  for (const DType dtype : kAllDTypes) {
    for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0}, Shape{3, 0, 2}, Shape{1, 1, 1, 1, 7}}) {
      const Tensor t = Pattern(device, dtype, shape);
      const absl::Status written = WriteNpy(path, t);
      if (dtype == DType::kBF16) {
        EXPECT_EQ(written.code(), absl::StatusCode::kUnimplemented);
        EXPECT_THAT(std::string(written.message()), HasSubstr("NumPy has no bfloat16; convert to float32"));
        continue;
      }
      ASSERT_TRUE(written.ok()) << written;
      const auto read = ReadNpy(device, path);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_TRUE(SameTensor(*read, t)) << NameOf(dtype) << shape.ToString();
    }
  }
}

TEST(NpyTest, WritesTheBytesThatNumPyWrites) {
  Device device;
  const std::string path = TempPath("same.npy");
  const auto expect = [&](absl::string_view file, DType dtype, Shape shape) {
    ASSERT_TRUE(WriteNpy(path, Pattern(device, dtype, shape)).ok());
    EXPECT_EQ(*ReadFile(path), *ReadFile(absl::StrCat("io/testdata/", file))) << file;
  };
  expect("f8.npy", DType::kF64, {2, 3});
  expect("f4.npy", DType::kF32, {2, 3});
  expect("f2.npy", DType::kF16, {2, 3});
  expect("i8.npy", DType::kI64, {2, 3});
  expect("i4.npy", DType::kI32, {2, 3});
  expect("u1.npy", DType::kU8, {2, 3});
  expect("scalar.npy", DType::kF32, {});
  expect("empty.npy", DType::kF32, {0, 3});
  expect("vector.npy", DType::kF32, {3});
}

TEST(NpyTest, ReadsWhatNumPyWrote) {
  Device device;
  const auto expect = [&](absl::string_view file, DType dtype, Shape shape) {
    const auto read = ReadNpy(device, absl::StrCat("io/testdata/", file, ".npy"));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameTensor(*read, Pattern(device, dtype, shape))) << file;
  };
  const struct {
    DType dtype;
    const char* name;
  } kRows[] = {{DType::kF64, "f8"}, {DType::kF32, "f4"}, {DType::kF16, "f2"},
               {DType::kI64, "i8"}, {DType::kI32, "i4"}, {DType::kU8, "u1"}};
  for (const auto& row : kRows) {
    expect(row.name, row.dtype, {2, 3});
    expect(absl::StrCat("fortran_", row.name), row.dtype, {2, 3, 4});
    if (row.dtype != DType::kU8) expect(absl::StrCat("big_endian_", row.name), row.dtype, {2, 3});
  }
  expect("fortran_big_endian", DType::kF32, {3, 2, 1, 4});
  expect("scalar", DType::kF32, {});
  expect("empty", DType::kF32, {0, 3});
  expect("vector", DType::kF32, {3});
  expect("version2", DType::kF32, {2, 3});
  expect("version3", DType::kF32, {2, 3});
}

TEST(NpyTest, RefusesOtherDTypesByName) {
  Device device;
  const auto message = [&](absl::string_view file) {
    const absl::Status status = ReadNpy(device, absl::StrCat("io/testdata/refused_", file, ".npy")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    return std::string(status.message());
  };
  EXPECT_THAT(message("bool"), HasSubstr("bool is not a dtype that a tensor has: float64"));
  EXPECT_THAT(message("complex"), HasSubstr("dtype \"<c16\" is not one that Halftone reads: f8, f4, f2"));
  EXPECT_THAT(message("string"), HasSubstr("dtype \"<U2\""));
  EXPECT_THAT(message("struct"), HasSubstr("structured dtypes"));
}

TEST(NpyTest, ReadsTheSharedReferences) {
  if (std::getenv("HALFTONE_SHARED") == nullptr) GTEST_SKIP() << "HALFTONE_SHARED is not set";
  Device device;
  const std::vector<std::string> paths = SharedFiles(".npy");
  EXPECT_FALSE(paths.empty());
  for (const std::string& path : paths) EXPECT_TRUE(ReadNpy(device, path).ok()) << path;
}

std::string File(absl::string_view dict, size_t data_bytes) {
  return absl::StrCat(absl::string_view("\x93NUMPY\1\0", 8), LittleEndian(dict.size(), 2), dict,
                      std::string(data_bytes, 'x'));
}

std::string Dict(absl::string_view descr, absl::string_view fortran_order, absl::string_view shape) {
  return absl::StrCat("{'descr': ", descr, ", 'fortran_order': ", fortran_order, ", 'shape': ", shape, ", }");
}

std::string WithShape(absl::string_view shape, size_t data_bytes) {
  return File(Dict("'<f4'", "False", shape), data_bytes);
}

struct Case {
  std::string name;
  std::string bytes;
  std::string message;  // a part of it
};

std::vector<Case> Cases() {
  const std::string no_tuple = "no tuple of whole numbers from 0 to 2^63 - 1 for shape";
  const std::string no_dict = "the header is not a Python dictionary";
  std::string rank65 = "(";
  for (int i = 0; i < 65; ++i) rank65 += "1,";
  const auto version = [](char major, char minor) {
    return absl::StrCat("\x93NUMPY", std::string({major, minor}), std::string(20, ' '));
  };
  return {
      {"Empty", "", "does not begin with \\x93NUMPY"},
      {"MagicAlone", "\x93NUMPY", "cut short within its header"},
      {"NoLength", absl::StrCat("\x93NUMPY\1", std::string(2, '\0')), "cut short within its header"},
      {"NoLongLength", absl::StrCat("\x93NUMPY\2", std::string(4, '\0')), "cut short within its header"},
      {"BadMagic", "\x92NUMPY\1" + std::string(100, '\0'), "does not begin with \\x93NUMPY"},
      {"Version0", version(0, 0), "format version 0.0; Halftone reads 1.0, 2.0 and 3.0"},
      {"Version4", version(4, 0), "format version 4.0"},
      {"Version11", version(1, 1), "format version 1.1"},
      {"LengthBeyondFile", absl::StrCat("\x93NUMPY\1", std::string(1, '\0'), "\xff\xff{}"),
       "given as 65535 bytes, but the file has only 12"},
      {"LongLengthBeyondFile", absl::StrCat("\x93NUMPY\2", std::string(1, '\0'), "\xff\xff\xff\xff{}"),
       "given as 4294967295 bytes, but the file has only 14"},
      {"LongHeader",
       absl::StrCat("\x93NUMPY\2", std::string(1, '\0'), LittleEndian(2 << 20, 4), std::string(2 << 20, ' ')),
       "needs at most 1048576"},
      {"DictMissing", File("", 0), no_dict},
      {"DictIsList", File("[]", 0), no_dict},
      {"DictUnclosed", File("{'descr': '<f4'", 0), no_dict},
      {"DictEmpty", File("{}", 0), "the header has no descr"},
      {"NoOrder", File("{'descr': '<f4'}", 0), "the header has no fortran_order"},
      {"NoShape", File("{'descr': '<f4', 'fortran_order': False}", 0), "the header has no shape"},
      {"NoColon", File("{'descr' '<f4'}", 0), no_dict},
      {"NoComma", File("{'descr': '<f4' 'fortran_order': False}", 0), no_dict},
      {"StringUnclosed", File("{'descr", 0), no_dict},
      {"DescrUnclosed", File("{'descr': '<f4}", 0), "no string for descr"},
      {"DescrEscaped", File(Dict("'\\x3cf4'", "False", "(1,)"), 4), "no string for descr at \"\\'\\\\x3cf4"},
      {"DescrNumber", File(Dict("4", "False", "(1,)"), 4), "no string for descr"},
      {"DescrEmpty", File(Dict("''", "False", "(1,)"), 4), "dtype \"\" is not"},
      {"DescrNative", File(Dict("'=f4'", "False", "(1,)"), 4), "dtype \"=f4\" is not"},
      {"DescrNoOrder", File(Dict("'|f4'", "False", "(1,)"), 4), "dtype \"|f4\" is not"},
      {"DescrObject", File(Dict("'|O'", "False", "(1,)"), 4), "dtype \"|O\" is not"},
      {"OrderNumber", File(Dict("'<f4'", "0", "(1,)"), 4), "neither True nor False for fortran_order"},
      {"FieldUnknown", File("{'strides': (1,)}", 0), "field \"strides\" is unknown or comes twice"},
      {"FieldTwice", File("{'descr': '<f4', 'descr': '<f8'}", 0),
       "field \"descr\" is unknown or comes twice"},
      {"FieldHasNewline", File("{'a\n': 1}", 0), "field \"a\\n\" is unknown"},
      {"TextBehind", File(absl::StrCat(Dict("'<f4'", "False", "(1,)"), "import os"), 4), "goes on after"},
      {"ShapeList", WithShape("[1]", 4), no_tuple},
      {"ShapeNumber", WithShape("1", 4), no_tuple},
      {"ShapeInBrackets", WithShape("(1)", 4), no_tuple},
      {"ShapeUnclosed", WithShape("(1,", 4), no_tuple},
      {"ShapeCommaAlone", WithShape("(,)", 4), no_tuple},
      {"ShapeNegative", WithShape("(-1,)", 4), no_tuple},
      {"ShapeFloat", WithShape("(1.0,)", 4), no_tuple},
      {"ShapeTwoTo63", WithShape("(9223372036854775808,)", 4), no_tuple},
      {"ShapeNested", WithShape(std::string(60000, '('), 4), no_tuple},
      {"ShapeOverflows", WithShape("(4294967296, 4294967296)", 0), "larger than any memory"},
      {"EmptyShapeOverflows", WithShape("(0, 4294967296, 4294967296)", 0), "larger than any memory"},
      {"RankOver64", WithShape(rank65 + ")", 4), "shape has 65 dimensions; at most 64 are read"},
      {"TooShort", WithShape("(2, 3)", 23),
       "takes 24 bytes, but the file has 23 after its header: it was cut short"},
      {"TooLong", WithShape("(2, 3)", 25), "float32 of shape [2, 3] takes 24 bytes, but the file has 25"},
      {"Lie", WithShape("(1000000000000,)", 4), "takes 4000000000000 bytes, but the file has 4"},
  };
}

class NpyCorruptTest : public ::testing::TestWithParam<Case> {};

TEST_P(NpyCorruptTest, IsRefusedInOneLine) {
  Device device;
  const std::string path = TempFile(GetParam().name, GetParam().bytes);
  const absl::Status status = ReadNpy(device, path).status();
  ASSERT_FALSE(status.ok());
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_TRUE(absl::StartsWith(message, path)) << message;
  EXPECT_FALSE(absl::StrContains(message, '\n')) << message;
  EXPECT_LT(message.size(), path.size() + 300) << message;
}

INSTANTIATE_TEST_SUITE_P(All, NpyCorruptTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

// Spellings that NumPy has never written, or writes no more, but reads.
TEST(NpyTest, ReadsEverySpellingOfTheHeader) {
  Device device;
  for (const std::string& dict : {
           std::string("{\"shape\":(1,2),\"descr\":\"<f4\",\"fortran_order\":False}"),
           Dict("'<f4'", "False", "(1L, 2L)"),
           Dict("'<f4'", "False", "( 1 , 2 , )") + "   \n",
       }) {
    const auto read = ReadNpy(device, TempFile("spelling.npy", File(dict, 8)));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape(), Shape({1, 2}));
  }
}

TEST(NpyDamageTest, TheFileCutAnywhereIsRefused) {
  Device device;
  const std::string bytes = *ReadFile("io/testdata/fortran_f4.npy");
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string path = TempFile("cut.npy", absl::string_view(bytes).substr(0, n));
    EXPECT_EQ(ReadNpy(device, path).status().code(), absl::StatusCode::kDataLoss) << n;
  }
}

TEST(NpyDamageTest, AnyByteChangedDoesNotCrash) {
  Device device;
  const std::string bytes = *ReadFile("io/testdata/fortran_f4.npy");
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      refused += !ReadNpy(device, TempFile("flipped.npy", damaged)).ok();
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace halftone
