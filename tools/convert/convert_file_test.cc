#include "tools/convert/convert_file.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "fp16/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file.h"
#include "io/array_writer.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "quant/formats.h"
#include "tools/convert/convert_testing.h"
#include "tools/name_filter.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<double> Values(const ArrayFile& file, size_t index) {
  std::vector<double> values;
  EXPECT_TRUE(file.ReadChunks(index,
                              [&](absl::Span<const char> bytes) {
                                const ElementType type = file.arrays()[index].type;
                                const size_t n = bytes.size() / SizeOf(type);
                                values.resize(values.size() + n);
                                ConvertElements(type, bytes, absl::MakeSpan(values).last(n));
                                return absl::OkStatus();
                              })
                  .ok());
  return values;
}

absl::StatusOr<ConvertSummary> Convert(const std::string& from, const std::string& to,
                                       const ConvertOptions& options) {
  return ConvertFile(*Open(from), to, options, [](absl::string_view, uint64_t, uint64_t) {});
}

std::vector<float> Floats(size_t n) {
  const Rng rng(11);
  std::vector<float> values;
  for (size_t i = 0; i < n; ++i) values.push_back(rng.Normal(i));
  return values;
}

TEST(ConvertFileTest, ConvertsFloatsAndCopiesTheRest) {
  const std::vector<float> weights = Floats(6);
  const std::vector<double> bias = {0.1, -0.2};
  const std::string in = WriteArrays("mixed.safetensors",
                                     {{{"bias", ElementType::kF64, Shape{2}}, BytesOf(bias)},
                                      {{"steps", ElementType::kI64, Shape{1}}, BytesOf<int64_t>({7})},
                                      {{"fc.weight", ElementType::kF32, Shape{2, 3}}, BytesOf(weights)},
                                      {{"none", ElementType::kF32, Shape{0, 3}}, ""},
                                      {{"frozen", ElementType::kF32, Shape{}}, BytesOf<float>({0.1f})},
                                      {{"mask", ElementType::kBool, Shape{2}}, std::string("\0\1", 2)}},
                                     {{"format", "pt"}});
  const std::string out = TempPath("mixed_half.safetensors");
  const absl::StatusOr<ConvertSummary> summary =
      Convert(in, out, {.names = *NameFilter::Create("", "^frozen$")});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->arrays, 6u);
  EXPECT_EQ(summary->converted, 3u);
  EXPECT_EQ(summary->bytes_in, 16u + 8 + 24 + 0 + 4 + 2);
  EXPECT_EQ(summary->bytes_out, 4u + 8 + 12 + 0 + 4 + 2);

  const std::unique_ptr<ArrayFile> file = Open(out);
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("format", "pt")));
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < file->arrays().size(); ++i) index[file->arrays()[i].name] = i;
  ASSERT_EQ(index.size(), 6u);
  const auto type = [&](const char* name) { return file->arrays()[index.at(name)].type; };
  EXPECT_EQ(type("bias"), ElementType::kF16);
  EXPECT_EQ(type("steps"), ElementType::kI64);
  EXPECT_EQ(type("fc.weight"), ElementType::kF16);
  EXPECT_EQ(type("none"), ElementType::kF16);
  EXPECT_EQ(type("frozen"), ElementType::kF32);
  EXPECT_EQ(type("mask"), ElementType::kBool);
  EXPECT_EQ(file->arrays()[index.at("fc.weight")].shape, (Shape{2, 3}));
  EXPECT_EQ(file->arrays()[index.at("none")].shape, (Shape{0, 3}));
  const std::vector<double> halves = Values(*file, index.at("fc.weight"));
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_EQ(halves[i],
              Decode(kFloat16, Encode(kFloat16, weights[i], Rounding::kNearestEven, Overflow::kInfinity)));
  }
  EXPECT_THAT(Values(*file, index.at("steps")), ElementsAre(7));
  EXPECT_THAT(Values(*file, index.at("frozen")), ElementsAre(0.1f));
  EXPECT_THAT(Values(*file, index.at("mask")), ElementsAre(0, 1));
}

// Arrays of many pieces and arrays of a part of one, stochastically: the same file on any number of threads.
TEST(ConvertFileTest, SameForAnyNumberOfThreads) {
  const size_t kLong = 3'000'001;
  const std::vector<float> values = Floats(kLong);
  const std::string in =
      WriteArrays("long.safetensors", {{{"long", ElementType::kF32, Shape{kLong}}, BytesOf(values)},
                                       {{"short", ElementType::kF32, Shape{5}}, BytesOf(Floats(5))}});
  const ConvertOptions options = {
      .to = ElementType::kF8E4M3FN, .rounding = Rounding::kStochastic, .seed = 3, .names = {}};
  std::vector<std::string> results;
  for (const int threads : {1, 2, 3}) {
    SetNumThreads(threads);
    const std::string out = TempPath("long_out.safetensors");
    const absl::StatusOr<ConvertSummary> summary = Convert(in, out, options);
    ASSERT_TRUE(summary.ok()) << summary.status();
    results.push_back(*ReadFile(out));
  }
  SetNumThreads(0);
  EXPECT_TRUE(results[0] == results[1]);
  EXPECT_TRUE(results[0] == results[2]);

  const std::unique_ptr<ArrayFile> file = Open(TempPath("long_out.safetensors"));
  ASSERT_EQ(file->arrays()[0].name, "long");
  const std::vector<double> rounded = Values(*file, 0);
  const Rng rng = Rng(3).Stream(HashStream("long"));
  for (size_t i = 0; i < kLong; ++i) {
    const uint32_t code =
        Encode(kFloat8E4m3fn, values[i], Rounding::kStochastic, Overflow::kInfinity, rng.Bits(i));
    ASSERT_EQ(rounded[i], Decode(kFloat8E4m3fn, code)) << i;
  }
}

// In Fortran order element [i, j, k] lies at i + 30 j + 30 * 7 k.
TEST(ConvertFileTest, FortranOrder) {
  std::vector<float> values(30 * 7 * 5);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const std::string in =
      WriteArrays("fortran.npy", {{{"", ElementType::kF32, Shape{30, 7, 5}, 0, 0, true}, BytesOf(values)}});
  const auto expect_values = [&](const ArrayFile& file, bool fortran_order) {
    EXPECT_EQ(file.arrays()[0].shape, (Shape{30, 7, 5}));
    EXPECT_EQ(file.arrays()[0].fortran_order, fortran_order);
    const std::vector<double> read = Values(file, 0);
    for (int i = 0; i < 30; ++i) {
      for (int j = 0; j < 7; ++j) {
        for (int k = 0; k < 5; ++k) {
          const int there = i + 30 * j + 210 * k;
          ASSERT_EQ(read[static_cast<size_t>(fortran_order ? there : (i * 7 + j) * 5 + k)], there);
        }
      }
    }
  };
  ASSERT_TRUE(Convert(in, TempPath("c.safetensors"), {.names = {}}).ok());
  expect_values(*Open(TempPath("c.safetensors")), false);
  ASSERT_TRUE(Convert(in, TempPath("f.npy"), {.names = {}}).ok());
  expect_values(*Open(TempPath("f.npy")), true);
}

// Panels that are picked out of what is read and panels that are read alone; the last one is narrower.
TEST(ConvertFileTest, FortranOrderInPanels) {
  constexpr int kRows = 3000, kColumns = 7;
  std::vector<float> values(kRows * kColumns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 2048);
  const std::string in = WriteArrays(
      "wide.npy", {{{"", ElementType::kF32, Shape{kRows, kColumns}, 0, 0, true}, BytesOf(values)}});
  for (const uint64_t rows : {1, 100, 2500, 2999, 3000}) {
    const std::string out = TempPath("wide.safetensors");
    ASSERT_TRUE(Convert(in, out, {.names = {}, .panel_bytes = rows * kColumns * sizeof(float)}).ok());
    const std::vector<double> read = Values(*Open(out), 0);
    ASSERT_EQ(read.size(), values.size());
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kColumns; ++j) {
        ASSERT_EQ(read[static_cast<size_t>(i * kColumns + j)], (i + kRows * j) % 2048) << rows;
      }
    }
  }
}

TEST(ConvertFileTest, RefusesWhatIsUnsafe) {
  const std::string in = WriteArrays(
      "unsafe.safetensors", {{{"good", ElementType::kF32, Shape{2}}, BytesOf<float>({1, 2})},
                             {{"bad", ElementType::kF32, Shape{3}}, BytesOf<float>({1, 7e4f, 2})},
                             {{"worst\n", ElementType::kF32, Shape{3}}, BytesOf<float>({1e5f, 7e4f, 2})}});
  const std::string out = TempPath("unsafe_half.safetensors");
  std::filesystem::remove(out);
  const absl::Status status = Convert(in, out, {.names = {}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      status.message(),
      AllOf(HasSubstr("unsafe in float16: 2 of 3 arrays, the worst \"worst\\n\": of 3 numbers 2 overflow"),
            HasSubstr("--allow_unsafe"), HasSubstr("fp16_check")));
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  EXPECT_FALSE(std::filesystem::exists(out));

  EXPECT_TRUE(Convert(in, out, {.names = {}, .allow_unsafe = true}).ok());
  EXPECT_TRUE(Convert(in, out, {.to = ElementType::kBF16, .names = {}}).ok());
  // What is not converted is not judged, nor what is not rounded.
  EXPECT_TRUE(Convert(in, out, {.names = *NameFilter::Create("good", "")}).ok());
  EXPECT_TRUE(Convert(in, out, {.to = ElementType::kF64, .names = {}}).ok());
  EXPECT_TRUE(Convert(in, out, {.to = ElementType::kF32, .names = {}}).ok());
}

// From double to float, too; and what other roundings than the check's take beyond the largest finite value.
TEST(ConvertFileTest, OverflowsOfOtherTypesAndRoundings) {
  const std::string doubles =
      WriteArrays("doubles.npy", {{{"", ElementType::kF64, Shape{2}}, BytesOf<double>({1e300, 1})}});
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Convert(doubles, TempPath("f.npy"), {.to = ElementType::kF32, .names = {}}).status()));
  const std::string edge =
      WriteArrays("edge.npy", {{{"", ElementType::kF32, Shape{2}}, BytesOf<float>({65510, 1})}});
  const auto converts = [&](Rounding rounding) {
    return Convert(edge, TempPath("edge_half.npy"), {.rounding = rounding, .names = {}}).ok();
  };
  EXPECT_TRUE(converts(Rounding::kNearestEven));
  EXPECT_TRUE(converts(Rounding::kTowardZero));
  EXPECT_FALSE(converts(Rounding::kStochastic));
  EXPECT_FALSE(converts(Rounding::kUp));
  EXPECT_FALSE(converts(Rounding::kDown));
}

TEST(ConvertFileTest, Errors) {
  const std::string in =
      WriteArrays("two.safetensors", {{{"a", ElementType::kF32, Shape{2}}, BytesOf<float>({1, 2})},
                                      {{"n", ElementType::kI32, Shape{1}}, BytesOf<int32_t>({5})}});
  const std::string out = TempPath("never.safetensors");
  const auto expect = [&](absl::StatusCode code, absl::string_view message, const std::string& path,
                          const ConvertOptions& options) {
    const absl::Status status = Convert(in, path, options).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(std::string(message)));
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  };
  expect(absl::StatusCode::kInvalidArgument, "none of the 2 arrays", out,
         {.names = *NameFilter::Create("b", "")});
  expect(absl::StatusCode::kInvalidArgument, "none of the 2 arrays", out,
         {.names = *NameFilter::Create("n", "")});
  expect(absl::StatusCode::kInvalidArgument, "one array, not 2", TempPath("never.npy"), {.names = {}});
  expect(absl::StatusCode::kNotFound, "none/never.safetensors", TempPath("none/never.safetensors"),
         {.names = {}});
  const std::atomic<bool> stop = true;
  expect(absl::StatusCode::kCancelled, "nothing was written", out, {.names = {}, .stop = &stop});
}

// The input is open while the output takes its name.
TEST(ConvertFileTest, InPlace) {
  const std::string path =
      WriteArrays("place.safetensors", {{{"a", ElementType::kF32, Shape{3}}, BytesOf<float>({1, 2, 3})}});
  ASSERT_TRUE(Convert(path, path, {.to = ElementType::kBF16, .names = {}}).ok());
  const std::unique_ptr<ArrayFile> file = Open(path);
  EXPECT_EQ(file->arrays()[0].type, ElementType::kBF16);
  EXPECT_THAT(Values(*file, 0), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace halftone
