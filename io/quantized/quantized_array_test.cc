#include "io/quantized/quantized_array.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/quantized/dequantized_file.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Metadata = std::map<std::string, std::string>;

// A file of which nothing but the arrays' own bytes is there.
class BytesFile final : public ArrayFile {
 public:
  BytesFile(std::vector<FileArray> arrays, Metadata metadata, std::vector<std::string> bytes = {})
      : ArrayFile("memory", std::move(arrays), std::move(metadata)), bytes_(std::move(bytes)) {}
  bool random_access() const override { return true; }

 private:
  absl::Status Read(size_t index, uint64_t begin, uint64_t end, ChunkFunction f) const override {
    return f(absl::MakeConstSpan(bytes_.at(index)).subspan(begin, end - begin));
  }

  std::vector<std::string> bytes_;
};

QuantFormat Format(absl::string_view name) { return *FindStoredFormat(name); }

QuantizedArray Plan(absl::string_view format, const Shape& shape, bool per_channel = false) {
  const absl::StatusOr<QuantizedArray> plan =
      PlanQuantized({"w", ElementType::kF16, shape}, Format(format), per_channel);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

std::vector<std::string> Layout(const QuantizedArray& array) {
  std::vector<std::string> lines;
  for (const FileArray& a : array.Stored()) {
    lines.push_back(absl::StrCat(a.name, " ", NameOf(a.type), " ", a.shape.ToString()));
  }
  return lines;
}

TEST(QuantizedArrayTest, Layouts) {
  EXPECT_THAT(Layout(Plan("mxfp4", {3, 64})),
              ElementsAre("w float4_e2m1fn [3, 64]", "w.scale float8_e8m0fnu [3, 2]"));
  EXPECT_THAT(Layout(Plan("mxfp8_e5m2", {2, 3, 32})),
              ElementsAre("w float8_e5m2 [2, 3, 32]", "w.scale float8_e8m0fnu [2, 3, 1]"));
  EXPECT_THAT(Layout(Plan("mxint8", {32})), ElementsAre("w int8 [32]", "w.scale float8_e8m0fnu [1]"));
  EXPECT_THAT(Layout(Plan("nvfp4", {4, 16, 3, 3})),
              ElementsAre("w float4_e2m1fn [4, 16, 3, 3]", "w.scale float8_e4m3fn [4, 9]",
                          "w.tensor_scale float32 []"));
  EXPECT_THAT(Layout(Plan("int8", {3, 5})), ElementsAre("w int8 [3, 5]", "w.scale float32 []"));
  EXPECT_THAT(Layout(Plan("int4", {3, 5}, true)), ElementsAre("w uint8 [8]", "w.scale float32 [3]"));
  EXPECT_THAT(Layout(Plan("int2", {3, 3})), ElementsAre("w uint8 [3]", "w.scale float32 []"));
  EXPECT_THAT(Layout(Plan("float6_e3m2fn", {2, 2, 3}, true)),
              ElementsAre("w float6_e3m2fn [2, 2, 3]", "w.scale float32 [2]"));
  EXPECT_THAT(Layout(Plan("fp3", {3, 5})),
              ElementsAre("w uint8 [6]", "w.scale float32 []", "w.codebook float32 [8]"));
  EXPECT_THAT(Layout(Plan("fp8", {3, 5}, true)),
              ElementsAre("w uint8 [15]", "w.scale float32 [3]", "w.codebook float32 [256]"));
}

TEST(QuantizedArrayTest, BlocksOfConvolutionsGoOverAllOfAnOutput) {
  EXPECT_EQ(BlockRow({}), 1u);
  EXPECT_EQ(BlockRow({5}), 5u);
  EXPECT_EQ(BlockRow({3, 5}), 5u);
  EXPECT_EQ(BlockRow({2, 3, 5}), 5u);
  EXPECT_EQ(BlockRow({2, 3, 5, 7}), 105u);
  EXPECT_EQ(BlockRow({2, 3, 5, 7, 11}), 1155u);
}

TEST(QuantizedArrayTest, MetadataIsWhatTheHeaderSays) {
  EXPECT_EQ(Plan("mxfp4", {64, 512}).Metadata(),
            std::pair(std::string("halftone.quantized.w"),
                      std::string(
                          R"({"format":"mxfp4","block":32,"row":512,"dtype":"float16","shape":[64,512]})")));
  EXPECT_EQ(Plan("int4", {3, 5}, true).Metadata().second,
            R"({"format":"int4","row":5,"dtype":"float16","shape":[3,5]})");
}

TEST(QuantizedArrayTest, FormatsWithScalesOnly) {
  size_t stored = 0;
  for (const QuantFormat& format : QuantFormats()) stored += FindStoredFormat(NameOf(format)).ok();
  EXPECT_EQ(stored, 7u + 3 + 3 + 5);
  for (const char* name : {"float8_e4m3fn", "int4_affine", "half", "float8_e8m0fnu", "mxfp5", ""}) {
    const absl::Status status = FindStoredFormat(name).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("known: float6_e2m3fn")) << name;
  }
}

TEST(QuantizedArrayTest, RefusesWhatDoesNotFit) {
  const auto refused = [](absl::string_view format, const Shape& shape) {
    const absl::Status status =
        PlanQuantized({"conv\n1", ElementType::kF32, shape}, Format(format), false).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    return std::string(status.message());
  };
  EXPECT_EQ(refused("mxfp4", {64, 3, 3, 3}),
            "array \"conv\\n1\" [64, 3, 3, 3] cannot become mxfp4: its rows of 27 numbers are no whole "
            "blocks of 32; "
            "leave it out: --exclude=\"conv\\n1\"");
  EXPECT_THAT(refused("nvfp4", {32, 24}), HasSubstr("rows of 24 numbers are no whole blocks of 16"));
  EXPECT_THAT(refused("float4_e2m1fn", {3, 3}), HasSubstr("9 codes of 4 bits end within a byte"));
}

// --- Files

BytesFile FileOf(const QuantizedArray& array) {
  std::vector<FileArray> arrays = array.Stored();
  arrays.push_back({"bias", ElementType::kF32, Shape{3}});
  return BytesFile(std::move(arrays), {array.Metadata(), {"format", "pt"}});
}

TEST(QuantizedArrayTest, FoundAgain) {
  for (const char* name :
       {"mxfp8", "mxfp6", "mxfp4", "mxint8", "nvfp4", "int8", "int4", "int2", "float6_e2m3fn", "fp3"}) {
    SCOPED_TRACE(name);
    const QuantizedArray array = Plan(name, {4, 2, 4, 4});
    const absl::StatusOr<std::vector<QuantizedArray>> found = FindQuantized("f", FileOf(array));
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ((*found)[0].name, "w");
    EXPECT_EQ(NameOf((*found)[0].format), name);
    EXPECT_EQ((*found)[0].type, ElementType::kF16);
    EXPECT_EQ((*found)[0].shape, array.shape);
    EXPECT_EQ((*found)[0].row, array.row);
  }
  EXPECT_THAT(*FindQuantized("f", BytesFile({{"w", ElementType::kF32, Shape{2}}}, {{"format", "pt"}})),
              IsEmpty());
}

void ExpectDamaged(const BytesFile& file, const std::string& message) {
  const absl::Status status = FindQuantized("f", file).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::StartsWith("f: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
}

TEST(QuantizedArrayTest, ArraysThatAreNotAsTheMetadataSays) {
  const QuantizedArray array = Plan("nvfp4", {2, 32});
  const auto without = [&](size_t i) {
    std::vector<FileArray> arrays = array.Stored();
    arrays.erase(arrays.begin() + static_cast<ptrdiff_t>(i));
    return BytesFile(arrays, {array.Metadata()});
  };
  ExpectDamaged(without(0),
                "no array \"w\": expected float4_e2m1fn [2, 32] of quantised array \"w\" in nvfp4");
  ExpectDamaged(without(1), "no array \"w.scale\"");
  ExpectDamaged(without(2), "no array \"w.tensor_scale\"");
  std::vector<FileArray> arrays = array.Stored();
  arrays[1].shape = Shape{2, 3};
  ExpectDamaged(BytesFile(arrays, {array.Metadata()}),
                "array \"w.scale\": expected float8_e4m3fn [2, 2] of quantised array \"w\" in nvfp4, not "
                "float8_e4m3fn [2, 3]");
  arrays = array.Stored();
  arrays[0].type = ElementType::kU8;
  ExpectDamaged(BytesFile(arrays, {array.Metadata()}), "not uint8 [2, 32]");
}

TEST(QuantizedArrayTest, MetadataThatMakesNoSense) {
  const QuantizedArray array = Plan("mxfp4", {2, 32});
  const auto expect = [&](const std::string& text, const std::string& message) {
    SCOPED_TRACE(text.substr(0, 200));
    ExpectDamaged(BytesFile(array.Stored(), {{"halftone.quantized.w", text}}), message);
  };
  const auto entry = [](absl::string_view format, absl::string_view rest) {
    return absl::StrCat("{\"format\":\"", format, "\",", rest, "}");
  };
  const std::string rest = R"("block":32,"row":32,"dtype":"float32","shape":[2,32])";
  ASSERT_TRUE(
      FindQuantized("f", BytesFile(array.Stored(), {{"halftone.quantized.w", entry("mxfp4", rest)}})).ok());
  for (const char* text : {"", "x", "[]", "3", "null", "{\"format\":\"mxfp4\""})
    expect(text, "it is no JSON object");
  expect(std::string(100'000, '['), "longer than 4096 bytes");
  expect(std::string(4096, '['), "it is no JSON object");
  expect("{}", "\"format\" is no string");
  expect(entry("mx\nfp5", rest), "no JSON object");
  expect(entry("mxfp5", rest), "unknown format \"mxfp5\"");
  expect(entry("int4_affine", rest), "unknown format \"int4_affine\"");
  expect(entry("mxfp4", R"("block":32,"row":32,"shape":[2,32])"), "\"dtype\" is no type of floats");
  expect(entry("mxfp4", R"("block":32,"row":32,"dtype":"int8","shape":[2,32])"),
         "\"dtype\" is no type of floats");
  for (const char* shape : {"3", "[2,-32]", "[2,3.5]", "[\"2\"]", "[18446744073709551615]"}) {
    expect(entry("mxfp4", absl::StrCat(R"("block":32,"row":32,"dtype":"float32","shape":)", shape)),
           "\"shape\" is no list of sizes");
  }
  for (const char* shape : {"[0,32]", "[4294967296,4294967296]", "[9223372036854775807,2]"}) {
    expect(entry("mxfp4", absl::StrCat(R"("block":32,"row":32,"dtype":"float32","shape":)", shape)),
           "\"shape\" is empty, or larger than any memory");
  }
  for (const char* row : {"0", "-32", "48", "\"32\"", "1e1"}) {
    expect(entry("mxfp4", absl::StrCat(R"("block":32,"dtype":"float32","shape":[2,32],"row":)", row)),
           "\"row\" does not divide the 64 numbers");
  }
  expect(entry("mxfp4", R"("block":32,"row":16,"dtype":"float32","shape":[2,32])"),
         "rows of 16 numbers are no whole blocks of 32");
  expect(entry("mxfp4", R"("block":16,"row":32,"dtype":"float32","shape":[2,32])"),
         "block 32, row, dtype and shape");
  expect(entry("mxfp4", R"("row":32,"dtype":"float32","shape":[2,32])"), "block 32, row, dtype and shape");
  expect(entry("int8", rest), "expected are format, row, dtype and shape");
  expect(entry("mxfp4", rest + ",\"zero_point\":3"), "expected are format, block 32, row, dtype and shape");
}

TEST(QuantizedArrayTest, ScalesThatAreNone) {
  for (const float scale : {0.0f, -1.0f, 1e-39f, HUGE_VALF, NAN}) {
    for (const char* format : {"int8", "nvfp4"}) {
      const QuantizedArray array = Plan(format, {1, 16});
      std::vector<FileArray> arrays = array.Stored();
      std::vector<std::string> bytes;
      for (FileArray& a : arrays) {
        a.bytes = *ArrayBytes(a.type, a.shape.dims());
        bytes.emplace_back(a.bytes, '\1');
        if (a.type == ElementType::kF32) std::memcpy(bytes.back().data(), &scale, sizeof(scale));
      }
      const absl::Status status =
          DequantizedFile::Create("f", std::make_unique<BytesFile>(arrays, Metadata{array.Metadata()}, bytes),
                                  {array})
              .status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("is no scale"));
    }
  }
}

TEST(QuantizedArrayTest, CodebooksThatAreNone) {
  for (const std::vector<float>& values :
       {std::vector<float>{0, 2, 1, 3}, {0, 1, NAN, 3}, {0, 1, 2, HUGE_VALF}}) {
    const QuantizedArray array = Plan("fp2", {2, 8});
    std::vector<FileArray> arrays = array.Stored();
    std::vector<std::string> bytes;
    for (FileArray& a : arrays) {
      a.bytes = *ArrayBytes(a.type, a.shape.dims());
      bytes.emplace_back(a.bytes, '\1');
      if (a.name == "w.codebook") std::memcpy(bytes.back().data(), values.data(), a.bytes);
    }
    const absl::Status status =
        DequantizedFile::Create("f", std::make_unique<BytesFile>(arrays, Metadata{array.Metadata()}, bytes),
                                {array})
            .status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("f: array \"w.codebook\": a codebook's values must be"));
  }
}

}  // namespace
}  // namespace halftone
