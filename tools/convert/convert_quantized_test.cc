#include "tools/convert/convert_quantized.h"

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
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
#include "base/status_macros.h"
#include "fp16/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file.h"
#include "io/array_writer.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/quantized/dequantized_file.h"
#include "io/quantized/quantized_array.h"
#include "quant/block_format.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"
#include "quant/pack.h"
#include "quant/quant_format.h"
#include "quant/scaled.h"
#include "quant/scales.h"
#include "tools/convert/convert_file.h"
#include "tools/convert/convert_testing.h"
#include "tools/name_filter.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

absl::StatusOr<std::unique_ptr<ArrayFile>> AsNumbers(const std::string& path,
                                                     std::unique_ptr<ArrayFile> file) {
  ASSIGN_OR_RETURN(std::vector<QuantizedArray> quantized, FindQuantized(path, *file));
  return DequantizedFile::Create(path, std::move(file), std::move(quantized));
}

std::unique_ptr<ArrayFile> OpenDequantized(const std::string& path) {
  absl::StatusOr<std::unique_ptr<ArrayFile>> result = AsNumbers(path, Open(path));
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

size_t IndexOf(const ArrayFile& file, absl::string_view name) {
  for (size_t i = 0; i < file.arrays().size(); ++i) {
    if (file.arrays()[i].name == name) return i;
  }
  ADD_FAILURE() << "no array " << name;
  return 0;
}

// Elements as they are once read: codes of fewer than 8 bits one a byte.
template <typename T>
std::vector<T> Read(const ArrayFile& file, absl::string_view name, uint64_t begin = 0,
                    uint64_t end = ~uint64_t{0}) {
  const size_t index = IndexOf(file, name);
  std::string bytes;
  const auto append = [&](absl::Span<const char> chunk) {
    bytes.append(chunk.data(), chunk.size());
    return absl::OkStatus();
  };
  end = std::min(end, file.arrays()[index].bytes / sizeof(T));
  EXPECT_TRUE(file.ReadRange(index, begin * sizeof(T), end * sizeof(T), append).ok());
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

absl::StatusOr<QuantizeSummary> Quantize(const std::string& from, const std::string& to,
                                         const QuantizeOptions& options) {
  return QuantizeFile(*Open(from), to, options, [](absl::string_view, uint64_t, uint64_t) {});
}

// Magnitudes over many binades.
std::vector<float> Floats(size_t n) {
  std::vector<uint32_t> bits(n);
  Rng(11).Fill(0, bits.data(), n);
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = std::ldexp(Rng::ToUniform(bits[i]) - 0.5f, static_cast<int>(i % 23) - 11);
  return values;
}

// What the library itself makes of an array in memory.
struct Expected {
  std::vector<uint8_t> codes, block_scales;
  std::vector<float> scales;  // of rows, or the tensor's
  std::vector<float> codebook;
  std::vector<float> numbers;
};

Expected InMemory(const QuantFormat& format, const std::vector<float>& x, size_t row, size_t rows,
                  Rounding rounding, const RandomBits& random) {
  Expected e = {.codes = std::vector<uint8_t>(x.size()), .numbers = std::vector<float>(x.size())};
  const absl::Span<uint8_t> codes = absl::MakeSpan(e.codes);
  const absl::Span<float> numbers = absl::MakeSpan(e.numbers);
  if (const auto* block = std::get_if<BlockFormat>(&format)) {
    e.scales.resize(1);
    e.block_scales.resize(x.size() / static_cast<size_t>(block->block));
    QuantizeBlocks(*block, x, row, {.rounding = rounding}, codes, absl::MakeSpan(e.block_scales),
                   e.scales.data(), random);
    DequantizeBlocks(*block, e.codes, e.block_scales, e.scales[0], row, numbers);
    return e;
  }
  e.scales.resize(rows);
  if (const auto* integers = std::get_if<IntegerFormat>(&format)) {
    ComputeScales(*integers, x, {}, absl::MakeSpan(e.scales));
    halftone::Quantize(*integers, x, e.scales, {}, rounding, codes, random);
    Dequantize(*integers, e.codes, e.scales, {}, numbers);
  } else if (const auto* values = std::get_if<CodebookFormat>(&format)) {
    ComputeScales(1.0, x, {}, absl::MakeSpan(e.scales));
    const Codebook codebook = QuantileCodebook(x, e.scales, values->size()).value();
    e.codebook.assign(codebook.values().begin(), codebook.values().end());
    halftone::Quantize(codebook, x, e.scales, codes);
    Dequantize(codebook, e.codes, e.scales, numbers);
  } else {
    const FloatFormat& floats = std::get<FloatFormat>(format);
    ComputeScales(floats, x, {}, absl::MakeSpan(e.scales));
    halftone::Quantize(floats, x, e.scales, rounding, codes, random);
    Dequantize(floats, e.codes, e.scales, numbers);
  }
  return e;
}

std::vector<QuantFormat> StoredFormats() {
  std::vector<QuantFormat> formats;
  for (const QuantFormat& format : QuantFormats()) {
    if (FindStoredFormat(NameOf(format)).ok()) formats.push_back(format);
  }
  return formats;
}

// Codes, scales and numbers of an array of shape [rows, row], bit for bit.
void ExpectRoundTrip(const QuantFormat& format, size_t rows, size_t row, bool per_channel,
                     Rounding rounding) {
  SCOPED_TRACE(
      absl::StrCat(NameOf(format), " ", rows, "x", row, " ", per_channel, " ", static_cast<int>(rounding)));
  const std::vector<float> x = Floats(rows * row);
  const std::string in = WriteArrays(
      "in.safetensors",
      {{{"bias", ElementType::kF32, Shape{3}}, BytesOf<float>({1, 2, 3})},
       {{"w", ElementType::kF32, Shape{static_cast<int64_t>(rows), static_cast<int64_t>(row)}}, BytesOf(x)}},
      {{"format", "pt"}});
  const std::string out = TempPath("out.safetensors");
  const absl::StatusOr<QuantizeSummary> summary = Quantize(
      in, out, {.to = format, .per_channel = per_channel, .rounding = rounding, .seed = 5, .names = {}});
  ASSERT_TRUE(summary.ok()) << summary.status();
  const Rng rng = Rng(5).Stream(HashStream("w"));
  const Expected expected = InMemory(format, x, row, per_channel ? rows : 1, rounding,
                                     rounding == Rounding::kStochastic ? RandomBits(rng, 0) : RandomBits());

  const std::unique_ptr<ArrayFile> file = Open(out);
  const auto* const block = std::get_if<BlockFormat>(&format);
  const FileArray& codes = file->arrays()[IndexOf(*file, "w")];
  const int bits = static_cast<int>(BitsPerElement(format) - (block != nullptr ? 8.0 / block->block : 0));
  std::vector<uint8_t> unpacked = Read<uint8_t>(*file, "w");
  if (codes.type == ElementType::kU8) {
    const std::vector<uint8_t> packed = unpacked;
    ASSERT_EQ(packed.size(), PackedBytes(bits, x.size()));
    unpacked.resize(x.size());
    UnpackBits(bits, packed, absl::MakeSpan(unpacked));
  }
  std::vector<uint8_t> lower_bits = expected.codes;
  for (uint8_t& code : lower_bits) code &= static_cast<uint8_t>((1 << bits) - 1);
  EXPECT_TRUE(unpacked == lower_bits);
  if (block != nullptr) {
    EXPECT_TRUE(Read<uint8_t>(*file, "w.scale") == expected.block_scales);
  } else {
    EXPECT_EQ(Read<float>(*file, "w.scale"), expected.scales);
  }
  if (block != nullptr && block->scale == BlockScale::kE4m3) {
    EXPECT_EQ(Read<float>(*file, "w.tensor_scale"), expected.scales);
  }
  if (!expected.codebook.empty()) EXPECT_EQ(Read<float>(*file, "w.codebook"), expected.codebook);
  EXPECT_EQ(Read<float>(*file, "bias"), (std::vector<float>{1, 2, 3}));

  EXPECT_EQ(summary->numbers, x.size());
  EXPECT_EQ(summary->bits_before, 32 * x.size());
  const size_t scales_bits =
      block != nullptr ? 8 * expected.block_scales.size() + (block->scale == BlockScale::kE4m3 ? 32 : 0)
                       : 32 * (expected.scales.size() + expected.codebook.size());
  EXPECT_EQ(summary->bits, (static_cast<size_t>(bits) * x.size() + 7) / 8 * 8 + scales_bits);
  EXPECT_EQ(summary->all.bytes_in, 4 * x.size() + 12);
  EXPECT_EQ(summary->all.bytes_out, summary->bits / 8 + 12);

  const std::unique_ptr<ArrayFile> numbers = OpenDequantized(out);
  ASSERT_EQ(numbers->arrays().size(), 2u);
  EXPECT_THAT(numbers->metadata(), ElementsAre(Pair("format", "pt")));
  const FileArray& w = numbers->arrays()[IndexOf(*numbers, "w")];
  EXPECT_EQ(w.type, ElementType::kF32);
  EXPECT_EQ(w.shape, (Shape{static_cast<int64_t>(rows), static_cast<int64_t>(row)}));
  const auto same = [](const std::vector<float>& a, const float* b) {
    return std::memcmp(a.data(), b, a.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same(Read<float>(*numbers, "w"), expected.numbers.data()));
  for (const auto& [begin, end] : {std::pair(1, 2), std::pair(33, 90), std::pair(0, 95)}) {
    const std::vector<float> some = Read<float>(*numbers, "w", begin, end);
    EXPECT_EQ(some.size(), static_cast<size_t>(end - begin));
    EXPECT_TRUE(same(some, &expected.numbers[static_cast<size_t>(begin)])) << begin;
  }
}

TEST(ConvertQuantizedTest, EveryFormatThereAndBackBitForBit) {
  for (const QuantFormat& format : StoredFormats()) {
    for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kTowardZero, Rounding::kStochastic}) {
      ExpectRoundTrip(format, 6, 64, false, rounding);
      if (!std::holds_alternative<BlockFormat>(format)) ExpectRoundTrip(format, 6, 64, true, rounding);
    }
  }
}

TEST(ConvertQuantizedTest, RowsThatEndWithinAByte) {
  for (const char* name : {"int4", "int2", "int8", "fp3", "fp6"}) {
    ExpectRoundTrip(*FindStoredFormat(name), 7, 27, true, Rounding::kNearestEven);
    ExpectRoundTrip(*FindStoredFormat(name), 7, 27, false, Rounding::kStochastic);
  }
}

// Several batches of io/float_batches.h: of rows, and of parts of rows.
TEST(ConvertQuantizedTest, LongArrays) {
  for (const char* name : {"mxfp4", "nvfp4", "mxfp6"}) {
    ExpectRoundTrip(*FindStoredFormat(name), 3, 700'000, false, Rounding::kNearestEven);
    ExpectRoundTrip(*FindStoredFormat(name), 2, (1 << 20) + 64, false, Rounding::kStochastic);
  }
  ExpectRoundTrip(*FindStoredFormat("int4"), 3, 700'001, true, Rounding::kStochastic);
  ExpectRoundTrip(*FindStoredFormat("int2"), 2, (1 << 20) + 3, true, Rounding::kNearestEven);
  ExpectRoundTrip(*FindStoredFormat("float6_e2m3fn"), 4, 600'001, true, Rounding::kNearestEven);
}

// What a network computes with after training through a codebook.
TEST(ConvertQuantizedTest, LearnedValuesOfACodebook) {
  const std::vector<float> x = Floats(3 * 700'001), values = {-0.5f, -0.01f, 0.02f, 0.75f};
  const std::string in =
      WriteArrays("learned.safetensors",
                  {{{"fc.weight", ElementType::kF32, Shape{3, 700'001}}, BytesOf(x)},
                   {{"fc.weight_quantizer.codebook", ElementType::kF32, Shape{4}}, BytesOf(values)}});
  const std::string out = TempPath("learned_out.safetensors");
  for (const bool per_channel : {false, true}) {
    ASSERT_TRUE(
        Quantize(in, out, {.to = *FindStoredFormat("fp2"), .per_channel = per_channel, .names = {}}).ok());
    std::vector<float> scales(per_channel ? 3 : 1), expected(x.size());
    ComputeScales(1.0, x, {}, absl::MakeSpan(scales));
    FakeQuantize(Codebook::Create(values).value(), x, scales, absl::MakeSpan(expected));
    const std::unique_ptr<ArrayFile> numbers = OpenDequantized(out);
    EXPECT_TRUE(Read<float>(*numbers, "fc.weight") == expected);
    EXPECT_EQ(Read<float>(*numbers, "fc.weight_quantizer.codebook"), values);
  }
  // Of another number of values they are not for this format.
  ASSERT_TRUE(Quantize(in, out, {.to = *FindStoredFormat("fp3"), .names = {}}).ok());
  EXPECT_EQ(Read<float>(*Open(out), "fc.weight.codebook").size(), 8u);
}

TEST(ConvertQuantizedTest, NothingButZerosInACodebook) {
  const std::string in = WriteArrays(
      "zeros.safetensors", {{{"w", ElementType::kF32, Shape{2, 8}}, BytesOf(std::vector<float>(16))}});
  const std::string out = TempPath("zeros_out.safetensors");
  ASSERT_TRUE(Quantize(in, out, {.to = *FindStoredFormat("fp4"), .names = {}}).ok());
  EXPECT_EQ(Read<float>(*OpenDequantized(out), "w"), std::vector<float>(16));
}

TEST(ConvertQuantizedTest, SameForAnyNumberOfThreads) {
  const std::vector<float> x = Floats(3'000'000);
  const std::string in =
      WriteArrays("threads.safetensors", {{{"w", ElementType::kF32, Shape{50, 60'000}}, BytesOf(x)}});
  for (const char* name : {"mxfp4", "nvfp4", "int4", "fp4"}) {
    std::vector<std::string> results;
    for (const int threads : {1, 2, 3}) {
      SetNumThreads(threads);
      const std::string out = TempPath("threads_out.safetensors");
      ASSERT_TRUE(
          Quantize(in, out, {.to = *FindStoredFormat(name), .rounding = Rounding::kStochastic, .names = {}})
              .ok());
      results.push_back(*ReadFile(out));
    }
    SetNumThreads(0);
    EXPECT_TRUE(results[0] == results[1]);
    EXPECT_TRUE(results[0] == results[2]);
  }
}

TEST(ConvertQuantizedTest, OtherTypesAndShapesAndWhatIsCopied) {
  const std::vector<float> conv = Floats(2 * 16 * 9);
  std::vector<double> wide(conv.begin(), conv.end());
  const std::string in =
      WriteArrays("mixed.safetensors",
                  {{{"conv", ElementType::kF64, Shape{2, 16, 3, 3}}, BytesOf(wide)},
                   {{"half", ElementType::kF16, Shape{1, 16}}, BytesOf(std::vector<uint16_t>(16, 0x3c00))},
                   {{"norm", ElementType::kF32, Shape{32}}, BytesOf(Floats(32))},
                   {{"head", ElementType::kF32, Shape{2, 16}}, BytesOf(Floats(32))},
                   {{"none", ElementType::kF32, Shape{0, 32}}, ""},
                   {{"codes", ElementType::kF4E2M1FN, Shape{4}}, std::string("\x21\xf3", 2)},
                   {{"ids", ElementType::kI64, Shape{1, 2}}, BytesOf<int64_t>({7, 8})}});
  const std::string out = TempPath("mixed_out.safetensors");
  const absl::StatusOr<QuantizeSummary> summary =
      Quantize(in, out, {.to = *FindStoredFormat("nvfp4"), .names = *NameFilter::Create("", "head")});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->all.arrays, 7u);
  EXPECT_EQ(summary->all.converted, 2u);
  const std::unique_ptr<ArrayFile> file = Open(out);
  EXPECT_EQ(file->arrays().size(), 7u + 2 * 2);
  EXPECT_EQ(file->arrays()[IndexOf(*file, "conv.scale")].shape, (Shape{2, 9}));
  const std::unique_ptr<ArrayFile> numbers = OpenDequantized(out);
  const Expected expected = InMemory(*FindStoredFormat("nvfp4"), conv, 144, 1, Rounding::kNearestEven, {});
  EXPECT_EQ(Read<float>(*numbers, "conv"), expected.numbers);
  EXPECT_EQ(Read<float>(*numbers, "half"), std::vector<float>(16, 1));
  EXPECT_EQ(Read<float>(*numbers, "norm"), Floats(32));
  EXPECT_EQ(Read<float>(*numbers, "head"), Floats(32));
  EXPECT_THAT(Read<uint8_t>(*numbers, "codes"), ElementsAre(1, 2, 3, 15));
  EXPECT_THAT(Read<int64_t>(*numbers, "ids"), ElementsAre(7, 8));
}

// The way back of some arrays: the others keep their codes, scales and metadata.
TEST(ConvertQuantizedTest, SomeBackAgain) {
  const std::string in =
      WriteArrays("some.safetensors", {{{"a", ElementType::kF32, Shape{1, 32}}, BytesOf(Floats(32))},
                                       {{"b", ElementType::kF32, Shape{1, 32}}, BytesOf(Floats(32))}});
  const std::string out = TempPath("some_out.safetensors"), back = TempPath("some_back.safetensors");
  ASSERT_TRUE(Quantize(in, out, {.to = *FindStoredFormat("mxfp8"), .names = {}}).ok());
  std::unique_ptr<ArrayFile> file = Open(out);
  std::vector<QuantizedArray> quantized = *FindQuantized(out, *file);
  ASSERT_EQ(quantized.size(), 2u);
  const std::vector<uint8_t> codes = Read<uint8_t>(*file, "b"), scales = Read<uint8_t>(*file, "b.scale");
  const std::unique_ptr<ArrayFile> some = *DequantizedFile::Create(out, std::move(file), {quantized[0]});
  const absl::StatusOr<ConvertSummary> summary =
      ConvertFile(*some, back, {.to = ElementType::kBF16, .names = {}, .kept = {"b", "b.scale"}},
                  [](absl::string_view, uint64_t, uint64_t) {});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->converted, 1u);
  file = Open(back);
  EXPECT_EQ(Read<uint8_t>(*file, "b"), codes);
  EXPECT_EQ(Read<uint8_t>(*file, "b.scale"), scales);
  EXPECT_EQ(file->arrays()[IndexOf(*file, "a")].type, ElementType::kBF16);
  EXPECT_THAT(file->metadata(), ElementsAre(Pair("halftone.quantized.b", testing::_)));
}

TEST(ConvertQuantizedTest, InPlace) {
  const std::string path = WriteArrays(
      "place.safetensors", {{{"w", ElementType::kF32, Shape{1, 32}}, BytesOf(std::vector<float>(32, 3))}});
  ASSERT_TRUE(Quantize(path, path, {.to = *FindStoredFormat("mxfp4"), .names = {}}).ok());
  EXPECT_EQ(Read<float>(*OpenDequantized(path), "w"), std::vector<float>(32, 3));
}

// A file with any one bit wrong is refused, or read to its end.
TEST(ConvertQuantizedTest, NoFlipCrashes) {
  const std::string in =
      WriteArrays("flips.safetensors", {{{"w", ElementType::kF32, Shape{1, 32}}, BytesOf(Floats(32))}});
  for (const char* name : {"nvfp4", "int4", "mxint8"}) {
    const std::string out = TempPath("flips_out.safetensors");
    ASSERT_TRUE(Quantize(in, out, {.to = *FindStoredFormat(name), .names = {}}).ok());
    const std::string bytes = *ReadFile(out);
    size_t refused = 0, read = 0;
    for (size_t i = 0; i < 8 * bytes.size(); ++i) {
      std::string flipped = bytes;
      flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << i % 8));
      const std::string path = TempPath("flipped.safetensors");
      std::ofstream(path, std::ios::binary) << flipped;
      absl::StatusOr<std::unique_ptr<ArrayFile>> file = OpenArrayFile(path);
      if (!file.ok()) continue;
      absl::StatusOr<std::unique_ptr<ArrayFile>> numbers = AsNumbers(path, *std::move(file));
      if (!numbers.ok()) {
        EXPECT_THAT(std::string(numbers.status().message()), testing::StartsWith(path));
        ++refused;
        continue;
      }
      for (size_t a = 0; a < (*numbers)->arrays().size(); ++a) {
        read += (*numbers)->ReadChunks(a, [](absl::Span<const char>) { return absl::OkStatus(); }).ok();
      }
    }
    EXPECT_GT(refused, 0u);
    EXPECT_GT(read, 0u);
  }
}

TEST(ConvertQuantizedTest, Errors) {
  std::vector<float> bad = Floats(64);
  bad[40] = NAN;
  const std::string in =
      WriteArrays("errors.safetensors", {{{"good", ElementType::kF32, Shape{2, 32}}, BytesOf(Floats(64))},
                                         {{"bad\n", ElementType::kF32, Shape{2, 32}}, BytesOf(bad)},
                                         {{"odd", ElementType::kF32, Shape{3, 3}}, BytesOf(Floats(9))},
                                         {{"even", ElementType::kF32, Shape{2, 4}}, BytesOf(Floats(8))},
                                         {{"good.scale", ElementType::kI8, Shape{1}}, "x"}});
  const std::string out = TempPath("never.safetensors");
  const auto expect = [&](absl::StatusCode code, const std::string& message, const std::string& path,
                          const QuantizeOptions& options) {
    const absl::Status status = Quantize(in, path, options).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  };
  const auto named = [](absl::string_view include) { return *NameFilter::Create(include, ""); };
  for (const char* name : {"mxfp4", "nvfp4", "int8", "int4"}) {
    const QuantFormat format = *FindStoredFormat(name);
    expect(absl::StatusCode::kFailedPrecondition, "array \"bad\\n\" has nan at index 40", out,
           {.to = format, .names = named("bad")});
    EXPECT_TRUE(Quantize(in, TempPath("unsafe.safetensors"),
                         {.to = format, .names = named("bad"), .allow_unsafe = true})
                    .ok());
  }
  const QuantFormat mxfp4 = *FindStoredFormat("mxfp4");
  expect(absl::StatusCode::kInvalidArgument,
         "array \"odd\" [3, 3] cannot become mxfp4: its rows of 3 numbers", out,
         {.to = mxfp4, .names = named("odd")});
  expect(absl::StatusCode::kInvalidArgument, "--exclude=\"odd\"; so with 1 other array", out,
         {.to = mxfp4, .names = named("odd|even")});
  expect(absl::StatusCode::kInvalidArgument, "good.scale", out, {.to = mxfp4, .names = named("^good$")});
  expect(absl::StatusCode::kInvalidArgument, "none of the 5 arrays is of floats in two dimensions and more",
         out, {.to = mxfp4, .names = named("other")});
  expect(absl::StatusCode::kInvalidArgument, ".safetensors files alone", TempPath("never.npy"),
         {.to = mxfp4, .names = named("odd")});
  const std::atomic<bool> stop = true;
  expect(absl::StatusCode::kCancelled, "nothing was written", out,
         {.to = *FindStoredFormat("int8"), .names = named("odd"), .stop = &stop});

  const std::string fortran = WriteArrays(
      "fortran.npy", {{{"", ElementType::kF32, Shape{32, 32}, 0, 0, true}, BytesOf(Floats(1024))}});
  EXPECT_THAT(std::string(Quantize(fortran, out, {.to = mxfp4, .names = {}}).status().message()),
              HasSubstr("array \"fortran\" is in Fortran order; convert the file to float32"));
}

}  // namespace
}  // namespace halftone
