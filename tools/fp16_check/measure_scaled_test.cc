#include "tools/fp16_check/measure_scaled.h"

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "fp16/safety.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_safety.h"
#include "io/quantized/quantized_array.h"
#include "quant/block_format.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"
#include "quant/quant_format.h"
#include "quant/scaled.h"
#include "quant/scales.h"
#include "tools/fp16_check/sample_report.h"

namespace halftone {
namespace {

template <typename T>
MemoryFile FileOf(ElementType type, const std::vector<T>& values, const Shape& shape,
                  bool fortran_order = false) {
  MemoryFile::Entry entry = MakeEntry<T>("w", type, values);
  entry.array.shape = shape;
  entry.array.fortran_order = fortran_order;
  return MemoryFile({std::move(entry)});
}

NumberStats NumbersOf(const MemoryFile& file) {
  NumberStats numbers;
  const std::vector<ArraySafetyRequest> requests = {{.index = 0}};
  EXPECT_TRUE(CheckArrays(
                  file, requests,
                  [&](size_t, const SafetyCheck& check) {
                    numbers = check.numbers();
                    return absl::OkStatus();
                  },
                  [](uint64_t) {})
                  .ok());
  return numbers;
}

std::vector<ScaledStats> MeasureAll(const MemoryFile& file, const std::vector<QuantFormat>& formats) {
  uint64_t read = 0;
  const absl::StatusOr<std::vector<ScaledStats>> stats =
      MeasureScaled(file, 0, formats, NumbersOf(file), [&](uint64_t bytes) { read += bytes; });
  EXPECT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(read, ReadingsFor(formats) * file.arrays()[0].bytes);
  return *stats;
}

ScaledStats MeasureOne(const MemoryFile& file, absl::string_view format) {
  return MeasureAll(file, {*FindQuantFormat(format)})[0];
}

std::vector<float> Floats(size_t n) {
  std::vector<uint32_t> bits(n);
  Rng(11).Fill(0, bits.data(), n);
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = std::ldexp(Rng::ToUniform(bits[i]) - 0.5f, static_cast<int>(i % 13) - 6);
  return values;
}

std::vector<QuantFormat> FormatsWithScales() {
  std::vector<QuantFormat> formats;
  for (const QuantFormat& format : QuantFormats()) {
    if (!std::holds_alternative<FloatFormat>(format)) formats.push_back(format);
  }
  return formats;
}

// What the library makes of the whole tensor at once.
std::vector<float> InMemory(const QuantFormat& format, const std::vector<float>& x, size_t row) {
  std::vector<float> y(x.size());
  float scale;
  const absl::Span<float> scales(&scale, 1);
  if (const auto* block = std::get_if<BlockFormat>(&format)) {
    FakeQuantizeBlocks(*block, x, row, {}, absl::MakeSpan(y));
  } else if (const auto* integers = std::get_if<IntegerFormat>(&format)) {
    std::vector<int32_t> zero_point(integers->affine);
    integers->affine ? ComputeScales(*integers, x, {}, scales, absl::MakeSpan(zero_point))
                     : ComputeScales(*integers, x, {}, scales);
    FakeQuantize(*integers, x, scales, zero_point, Rounding::kNearestEven, absl::MakeSpan(y));
  } else {
    const Codebook codebook = *MinifloatCodebook(std::get<CodebookFormat>(format).bits);
    ComputeScales(1.0, x, {}, scales);
    FakeQuantize(codebook, x, scales, absl::MakeSpan(y));
  }
  return y;
}

void ExpectAsInMemory(const QuantFormat& format, const std::vector<float>& x, size_t row,
                      const ScaledStats& measured) {
  SCOPED_TRACE(std::string(NameOf(format)));
  const std::vector<float> y = InMemory(format, x, row);
  FormatStats expected;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) continue;
    const double error = std::fabs(static_cast<double>(y[i]) - x[i]);
    ++expected.measured;
    expected.exact += error == 0;
    expected.underflows += x[i] != 0 && y[i] == 0;
    expected.squares += static_cast<double>(x[i]) * x[i];
    expected.squared_errors += error * error;
    if (error == 0) continue;
    expected.relative_errors += error / std::fabs(x[i]);
    if (error / std::fabs(x[i]) > expected.max_relative_error) {
      expected.max_relative_error = error / std::fabs(x[i]);
      expected.max_error_index = i;
    }
  }
  EXPECT_EQ(measured.stats.measured, expected.measured);
  EXPECT_EQ(measured.stats.exact, expected.exact);
  EXPECT_EQ(measured.stats.underflows, expected.underflows);
  EXPECT_EQ(measured.stats.max_relative_error, expected.max_relative_error);
  EXPECT_EQ(measured.stats.max_error_index, expected.max_error_index);
  // Sums of positive numbers in another order.
  const double tolerance = static_cast<double>(x.size()) * DBL_EPSILON;
  EXPECT_NEAR(measured.stats.squares, expected.squares, tolerance * expected.squares);
  EXPECT_NEAR(measured.stats.squared_errors, expected.squared_errors, tolerance * expected.squared_errors);
  EXPECT_NEAR(measured.stats.relative_errors, expected.relative_errors, tolerance * expected.relative_errors);
  EXPECT_EQ(measured.stats.overflows, 0u);
}

TEST(MeasureScaledTest, AsTheLibraryInMemory) {
  struct Case {
    Shape shape;
    size_t row;
  };
  // Rows of whole blocks, with a short block, of a convolution; and longer than what is read at a time.
  const Case cases[] = {{{6, 64}, 64},
                        {{7, 45}, 45},
                        {{3, 5, 3, 3}, 45},
                        {{50}, 50},
                        {{2, (1 << 20) + 40}, (1 << 20) + 40},
                        {{1500, 1000}, 1000}};
  const std::vector<QuantFormat> formats = FormatsWithScales();
  for (const auto& [shape, row] : cases) {
    SCOPED_TRACE(shape.ToString());
    std::vector<float> x = Floats(static_cast<size_t>(shape.elements()));
    x[3] = 0;
    x[7] = INFINITY;
    x[11] = NAN;
    const std::vector<ScaledStats> measured = MeasureAll(FileOf(ElementType::kF32, x, shape), formats);
    ASSERT_EQ(measured.size(), formats.size());
    for (size_t f = 0; f < formats.size(); ++f) ExpectAsInMemory(formats[f], x, row, measured[f]);
  }
}

TEST(MeasureScaledTest, SameForAnyNumberOfThreads) {
  const MemoryFile file = FileOf(ElementType::kF32, Floats(3'000'000), {300, 10'000});
  const std::vector<QuantFormat> formats = {*FindQuantFormat("mxfp4"), *FindQuantFormat("int4_affine")};
  SetNumThreads(1);
  const std::vector<ScaledStats> expected = MeasureAll(file, formats);
  for (const int threads : {2, 3}) {
    SetNumThreads(threads);
    const std::vector<ScaledStats> measured = MeasureAll(file, formats);
    for (size_t f = 0; f < formats.size(); ++f) {
      EXPECT_EQ(measured[f].stats.squared_errors, expected[f].stats.squared_errors);
      EXPECT_EQ(measured[f].stats.relative_errors, expected[f].stats.relative_errors);
      EXPECT_EQ(measured[f].saturated, expected[f].saturated);
    }
  }
  SetNumThreads(0);
}

TEST(MeasureScaledTest, Saturated) {
  // mxfp4's largest value is 6: amax 7 gives the scale 2^0, amax 8 the scale 2.
  std::vector<float> x(64);
  x[0] = 7;
  x[1] = -6.5f;
  x[2] = 6;
  x[32] = 8;
  x[33] = -7;
  EXPECT_EQ(MeasureOne(FileOf(ElementType::kF32, x, {64}), "mxfp4").saturated, 2u);
  // mxint8 reaches from -2 to 127/64.
  x = std::vector<float>(32);
  x[0] = 255.0f / 128;
  x[1] = -255.0f / 128;
  EXPECT_EQ(MeasureOne(FileOf(ElementType::kF32, x, {32}), "mxint8").saturated, 1u);
  // Scales by amax reach all.
  for (const char* format : {"int8", "int2", "int4_affine", "fp4"}) {
    EXPECT_EQ(MeasureOne(FileOf(ElementType::kF32, x, {32}), format).saturated, 0u) << format;
  }
  // nvfp4's scale of a block is rounded: 10 / 6 / g with g = 2688 / (448 * 6) = 1 becomes 1.625, and 6
  // * 1.625 is 9.75.
  x = std::vector<float>(32);
  x[0] = 2688;
  x[16] = 10;
  x[17] = 9.5f;
  EXPECT_EQ(MeasureOne(FileOf(ElementType::kF32, x, {32}), "nvfp4").saturated, 1u);
}

TEST(MeasureScaledTest, DoublesAndIntegers) {
  const std::vector<double> x = {1e300, 1, -3, 0};
  const ScaledStats doubles = MeasureOne(FileOf(ElementType::kF64, x, {4}), "mxfp8");
  EXPECT_EQ(doubles.stats.measured, 3u);
  EXPECT_EQ(doubles.stats.exact, 3u);
  EXPECT_EQ(doubles.saturated, 1u);
  const std::vector<uint8_t> pixels = {0, 127, 255, 3};
  const ScaledStats affine = MeasureOne(FileOf(ElementType::kU8, pixels, {4}), "int8_affine");
  EXPECT_EQ(affine.stats.measured, 4u);
  EXPECT_EQ(affine.stats.exact, 4u);
}

TEST(MeasureScaledTest, EmptyScalarAndFortranOrder) {
  const std::vector<QuantFormat> formats = FormatsWithScales();
  for (const ScaledStats& empty :
       MeasureAll(FileOf(ElementType::kF32, std::vector<float>(), {0, 3}), formats)) {
    EXPECT_EQ(empty.stats.measured, 0u);
  }
  EXPECT_EQ(MeasureOne(FileOf(ElementType::kF32, std::vector<float>{3}, {}), "int8").stats.measured, 1u);
  const std::vector<float> x = Floats(5 * 40);
  ExpectAsInMemory(*FindQuantFormat("mxfp4"), x, 40,
                   MeasureOne(FileOf(ElementType::kF32, x, {40, 5}, true), "mxfp4"));
}

}  // namespace
}  // namespace halftone
