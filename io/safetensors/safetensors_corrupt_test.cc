// Files that break the format: each is refused with one line, and none crashes the reader.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/safetensors/safetensors.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;

std::string File(absl::string_view json, size_t data_bytes) {
  return absl::StrCat(LittleEndian(json.size(), 8), json, std::string(data_bytes, 'x'));
}

// One tensor "t" with these fields.
std::string Tensor1(absl::string_view dtype, absl::string_view shape, absl::string_view offsets) {
  return absl::StrCat("{\"t\":{\"dtype\":", dtype, ",\"shape\":", shape, ",\"data_offsets\":", offsets, "}}");
}

// Two float32 tensors of one element each, "a" and "b".
std::string Tensor2(absl::string_view a, absl::string_view b) {
  return absl::StrCat("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":", a,
                      "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":", b, "}}");
}

struct Case {
  std::string name;
  std::string bytes;
  std::string message;  // a part of it
};

std::vector<Case> Cases() {
  const std::string whole = "is not a list of whole numbers from 0 to 2^63 - 1";
  const std::string two = "data_offsets are not two whole numbers";
  const std::string long_name(5000, 'n');
  return {
      {"Empty", "", "the file has 0 bytes"},
      {"SevenBytes", "\1\2\3\4\5\6\7", "the file has 7 bytes"},
      {"LengthAllOnes", absl::StrCat(LittleEndian(~uint64_t{0}, 8), "{}"),
       "given as 18446744073709551615 bytes"},
      {"LengthNegative", absl::StrCat(LittleEndian(uint64_t{1} << 63, 8), "{}"), "9223372036854775808 bytes"},
      {"LengthOver100MB", absl::StrCat(LittleEndian(100000001, 8), "{}"), "the format allows 100000000"},
      {"LengthBeyondFile", absl::StrCat(LittleEndian(3, 8), "{}"), "the file has only 10"},
      {"LengthZero", LittleEndian(0, 8), "does not begin with {"},
      {"SpaceFirst", File(" {}", 0), "does not begin with {"},
      {"ByteOrderMark", File("\xef\xbb\xbf{}", 0), "does not begin with {"},
      {"Array", File("[]", 0), "does not begin with {"},
      {"Zip", absl::StrCat("PK\3\4", std::string(100, '\0')), "or is not safetensors"},
      {"Unclosed", File("{", 0), "not valid JSON at its byte"},
      {"TrailingText", File("{} x", 0), "not valid JSON at its byte 4"},
      {"TrailingNul", File(std::string("{}\0", 3), 0), "not valid JSON at its byte 3"},
      {"TextBehindNul", File(std::string("{}\0hidden", 9), 0), "not valid JSON at its byte 3"},
      {"NulInName", File(std::string("{\"a\0\":{}}", 9), 0), "not valid JSON at its byte 4"},
      {"TrailingComma", File("{\"a\":{},}", 0), "\"a\": dtype is missing"},
      {"BadUtf8", File("{\"\xff\":{}}", 0), "not valid JSON at its byte 3"},
      {"BadEscape", File("{\"\\ud800\":{}}", 0), "not valid JSON"},
      {"NotANumber", File(Tensor1("\"F32\"", "[NaN]", "[0,4]"), 4), "not valid JSON"},
      {"HugeExponent", File(Tensor1("\"F32\"", "[1e999]", "[0,4]"), 4), "not valid JSON"},
      {"DeepArrays", File("{\"t\":" + std::string(1000000, '['), 0), "entry \"t\" is not a JSON object"},
      {"DeepInShape", File("{\"t\":{\"shape\":" + std::string(1000000, '['), 0),
       "tensor \"t\": shape " + whole},
      {"DeepObjects",
       [] {
         std::string json = "{";
         for (int i = 0; i < 100000; ++i) json += "\"t\":{";
         return File(json, 0);
       }(),
       "tensor \"t\": unknown field \"t\""},
      {"TensorIsNumber", File("{\"t\":1}", 0), "entry \"t\" is not a JSON object"},
      {"TensorIsNull", File("{\"t\":null}", 0), "entry \"t\" is not a JSON object"},
      {"TensorIsTrue", File("{\"t\":true}", 0), "entry \"t\" is not a JSON object"},
      {"TensorIsString", File("{\"t\":\"F32\"}", 0), "entry \"t\" is not a JSON object"},
      {"TensorIsEmpty", File("{\"t\":{}}", 0), "tensor \"t\": dtype is missing"},
      {"ShapeMissing", File("{\"t\":{\"dtype\":\"F32\"}}", 0), "tensor \"t\": shape is missing"},
      {"OffsetsMissing", File("{\"t\":{\"dtype\":\"F32\",\"shape\":[]}}", 0), "data_offsets are missing"},
      {"UnknownField", File("{\"t\":{\"strides\":[1]}}", 0), "tensor \"t\": unknown field \"strides\""},
      {"SameNameTwice", File("{\"t\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"t\":{}}", 0),
       "two entries of the header are named \"t\""},
      {"SameNameEscaped",
       File("{\"t\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"\\u0074\":{}}", 0),
       "two entries of the header are named \"t\""},
      {"DTypeTwice", File("{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F64\"}}", 0),
       "tensor \"t\": dtype comes twice"},
      {"ShapeTwice", File("{\"t\":{\"shape\":[],\"shape\":[]}}", 0), "tensor \"t\": shape comes twice"},
      {"OffsetsTwice", File("{\"t\":{\"data_offsets\":[0,0],\"data_offsets\":[0,0]}}", 0),
       "data_offsets comes twice"},
      {"MetadataTwice", File("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "are named \"__metadata__\""},
      {"MetadataKeyTwice", File("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0),
       "__metadata__: \"k\" comes twice"},
      {"MetadataNumber", File("{\"__metadata__\":{\"k\":1}}", 0), "the value of \"k\" is not a string"},
      {"MetadataNested", File("{\"__metadata__\":{\"k\":{}}}", 0), "the value of \"k\" is not a string"},
      {"MetadataString", File("{\"__metadata__\":\"k\"}", 0), "\"__metadata__\" is not a JSON object"},
      {"DTypeUnknown", File(Tensor1("\"F33\"", "[1]", "[0,4]"), 4),
       "tensor \"t\" has dtype \"F33\"; Halftone reads F64"},
      {"DTypeUnsupported", File(Tensor1("\"BOOL\"", "[4]", "[0,4]"), 4),
       "tensor \"t\" is bool; a tensor in memory is float64"},
      {"DTypeNumber", File(Tensor1("32", "[1]", "[0,4]"), 4), "tensor \"t\": dtype is not a string"},
      {"DTypeList", File(Tensor1("[]", "[1]", "[0,4]"), 4), "tensor \"t\": dtype is not a string"},
      {"ShapeString", File(Tensor1("\"F32\"", "\"1\"", "[0,4]"), 4), "tensor \"t\": shape " + whole},
      {"ShapeOfStrings", File(Tensor1("\"F32\"", "[\"1\"]", "[0,4]"), 4), "tensor \"t\": shape " + whole},
      {"ShapeNegative", File(Tensor1("\"F32\"", "[-1]", "[0,4]"), 4), "tensor \"t\": shape " + whole},
      {"ShapeFloat", File(Tensor1("\"F32\"", "[1.0]", "[0,4]"), 4), "tensor \"t\": shape " + whole},
      {"ShapeTwoTo63", File(Tensor1("\"F32\"", "[9223372036854775808]", "[0,4]"), 4), "shape " + whole},
      {"ShapeTwoTo64", File(Tensor1("\"F32\"", "[18446744073709551616]", "[0,4]"), 4), "shape " + whole},
      {"ShapeOverflows", File(Tensor1("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0),
       "tensor \"t\": shape [4294967296, 4294967296] is larger than any memory"},
      {"BytesOverflow", File(Tensor1("\"F64\"", "[2305843009213693952]", "[0,0]"), 0),
       "larger than any memory"},
      {"EmptyShapeOverflows", File(Tensor1("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0),
       "larger than any memory"},
      {"RankOver64",
       [] {
         std::string shape = "[1";
         for (int i = 0; i < 64; ++i) shape += ",1";
         return File(Tensor1("\"F32\"", shape + "]", "[0,4]"), 4);
       }(),
       "tensor \"t\": shape has more than 64 numbers"},
      {"OffsetsOne", File(Tensor1("\"F32\"", "[1]", "[0]"), 4), two},
      {"OffsetsThree", File(Tensor1("\"F32\"", "[1]", "[0,4,8]"), 4), two},
      {"OffsetsNegative", File(Tensor1("\"F32\"", "[1]", "[-4,0]"), 4), two},
      {"OffsetsFloat", File(Tensor1("\"F32\"", "[1]", "[0.0,4.0]"), 4), two},
      {"OffsetsTwoTo64", File(Tensor1("\"F32\"", "[1]", "[18446744073709551612,18446744073709551616]"), 4),
       two},
      {"OffsetsBackwards", File(Tensor1("\"F32\"", "[1]", "[4,0]"), 4), "end at 0, before their begin at 4"},
      {"OffsetsBeyondFile", File(Tensor1("\"F32\"", "[2]", "[0,8]"), 7),
       "ends at byte 8 of the data, but the file has only 7"},
      {"OffsetsFarBeyondFile", File(Tensor1("\"U8\"", "[9223372036854775807]", "[0,9223372036854775807]"), 4),
       "ends at byte 9223372036854775807 of the data"},
      {"TooFewBytes", File(Tensor1("\"F32\"", "[2]", "[0,4]"), 4),
       "F32 of shape [2] takes 8 bytes, but data_offsets give it 4"},
      {"TooManyBytes", File(Tensor1("\"F16\"", "[]", "[0,4]"), 4),
       "F16 of shape [] takes 2 bytes, but data_offsets give it 4"},
      {"TrailingBytes", File(Tensor1("\"F32\"", "[1]", "[0,4]"), 5),
       "1 bytes at the end of the file belong to no tensor"},
      {"DataWithoutTensors", File("{}", 3), "3 bytes at the end of the file belong to no tensor"},
      {"HoleFirst", File(Tensor1("\"F32\"", "[1]", "[4,8]"), 8),
       "4 bytes before tensor \"t\" belong to no tensor"},
      {"HoleBetween", File(Tensor2("[0,4]", "[6,10]"), 10),
       "2 bytes before tensor \"b\" belong to no tensor"},
      {"Overlap", File(Tensor2("[0,4]", "[2,6]"), 6), "tensor \"b\" overlaps tensor \"a\""},
      {"SamePlace", File(Tensor2("[0,4]", "[0,4]"), 4), "tensor \"b\" overlaps tensor \"a\""},
      {"NameIsEscaped", File("{\"a\\n\\u001b[31m\":1}", 0), "entry \"a\\n\\x1b[31m\" is not"},
      {"NameIsCut", File("{\"" + long_name + "\":1}", 0), "n...\" is not a JSON object"},
  };
}

class SafetensorsCorruptTest : public ::testing::TestWithParam<Case> {};

TEST_P(SafetensorsCorruptTest, IsRefusedInOneLine) {
  const std::string path = TempFile(GetParam().name, GetParam().bytes);
  const absl::Status status = SafetensorsReader::Open(path).status();
  ASSERT_FALSE(status.ok());
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_TRUE(absl::StartsWith(message, path)) << message;
  EXPECT_FALSE(absl::StrContains(message, '\n')) << message;
  EXPECT_LT(message.size(), path.size() + 300) << message;
}

INSTANTIATE_TEST_SUITE_P(All, SafetensorsCorruptTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

// A small valid file with all that the format has.
std::string SmallFile() {
  Device device;
  const std::string path = TempPath("small.safetensors");
  EXPECT_TRUE(WriteSafetensors(path,
                               {{"a", Pattern(device, DType::kF32, {2, 1})},
                                {"b\n", Pattern(device, DType::kF16, {})},
                                {"c", Pattern(device, DType::kU8, {0})}},
                               {{"key", "value"}})
                  .ok());
  return *ReadFile(path);
}

void ReadAll(const std::string& path) {
  Device device;
  const auto reader = SafetensorsReader::Open(path);
  if (!reader.ok()) return;
  for (const ArrayInfo& info : reader->arrays()) EXPECT_TRUE(reader->Read(device, info.name).ok());
}

TEST(SafetensorsDamageTest, TheFileCutAnywhereIsRefused) {
  const std::string bytes = SmallFile();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string path = TempFile("cut.safetensors", absl::string_view(bytes).substr(0, n));
    EXPECT_EQ(SafetensorsReader::Open(path).status().code(), absl::StatusCode::kDataLoss) << n;
  }
}

TEST(SafetensorsDamageTest, AnyByteChangedDoesNotCrash) {
  const std::string bytes = SmallFile();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      ReadAll(TempFile("flipped.safetensors", damaged));
    }
  }
}

// What the format allows although the common writers do not do it.
TEST(SafetensorsLenientTest, HeaderOrderIsFree) {
  Device device;
  const std::string path = TempFile("free.safetensors", File(Tensor2("[4,8]", "[0,4]") + "   ", 8));
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->arrays()[0].name, "b");
  EXPECT_TRUE(reader->Read(device, "a").ok());
}

}  // namespace
}  // namespace halftone
