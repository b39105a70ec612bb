#include "tools/fp16_check/measure_scaled.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <variant>

#include "absl/types/optional.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "fp16/codec.h"
#include "io/element_type.h"
#include "io/float_batches.h"
#include "io/quantized/quantized_array.h"
#include "quant/block_format.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"
#include "quant/formats.h"
#include "quant/scaled.h"
#include "quant/scales.h"

namespace halftone {
namespace {

constexpr size_t kBlock = 1 << 14;  // numbers whose sums are added up by one thread

// Of the finite numbers, 0 among them.
struct Range {
  float lowest = 0, highest = 0;
};

bool IsAffine(const QuantFormat& format) {
  const auto* integers = std::get_if<IntegerFormat>(&format);
  return integers != nullptr && integers->affine;
}

uint64_t RowOf(const FileArray& array) {
  if (array.shape.rank() == 0) return 1;
  return array.fortran_order ? static_cast<uint64_t>(array.shape[0]) : BlockRow(array.shape);
}

absl::StatusOr<Range> ReadRange(const ArrayFile& file, size_t index,
                                absl::FunctionRef<void(uint64_t bytes)> read) {
  const uint64_t size = SizeOf(file.arrays()[index].type);
  Range range;
  RETURN_IF_ERROR(ReadFloatBatches(file, index, 1, [&](uint64_t, absl::Span<const float> x) {
    for (const float v : x) {
      if (!std::isfinite(v)) continue;
      range = {std::min(range.lowest, v), std::max(range.highest, v)};
    }
    read(x.size() * size);
    return absl::OkStatus();
  }));
  return range;
}

FormatStats StatsOf(absl::Span<const float> x, absl::Span<const float> y, uint64_t first) {
  FormatStats s;
  s.measured = x.size();
  for (size_t i = 0; i < x.size(); ++i) {
    const double number = x[i], error = std::fabs(y[i] - number);
    s.exact += error == 0;
    s.underflows += number != 0 && y[i] == 0;
    s.squares += number * number;
    s.squared_errors += error * error;
    if (error == 0) continue;
    const double relative = error / std::fabs(number);
    s.relative_errors += relative;
    if (relative > s.max_relative_error) {
      s.max_relative_error = relative;
      s.max_error_index = first + i;
    }
  }
  return s;
}

// `next`: of numbers that follow.
void Merge(const FormatStats& next, FormatStats& s) {
  s.underflows += next.underflows;
  s.exact += next.exact;
  s.measured += next.measured;
  if (next.max_relative_error > s.max_relative_error) {
    s.max_relative_error = next.max_relative_error;
    s.max_error_index = next.max_error_index;
  }
  s.relative_errors += next.relative_errors;
  s.squared_errors += next.squared_errors;
  s.squares += next.squares;
}

// One format's results for a tensor whose scales are known.
class Measure {
 public:
  Measure(const QuantFormat& format, Range range) : format_(format) {
    const float amax = std::max(-range.lowest, range.highest);
    if (const auto* block = std::get_if<BlockFormat>(&format)) {
      options_.tensor_scale = TensorScaleOf(*block, amax);
    } else if (const auto* integers = std::get_if<IntegerFormat>(&format)) {
      const float ends[] = {range.lowest, range.highest};
      if (integers->affine) {
        zero_points_.resize(1);
        ComputeScales(*integers, ends, {}, absl::MakeSpan(&scale_, 1), absl::MakeSpan(zero_points_));
      } else {
        scale_ = ScaleOf(amax, integers->highest());
      }
    } else {
      const absl::StatusOr<Codebook> codebook = MinifloatCodebook(std::get<CodebookFormat>(format).bits);
      HALFTONE_CHECK(codebook.ok());
      codebook_ = *codebook;
      scale_ = ScaleOf(amax, codebook_->values().back());
    }
  }

  // Finite numbers, in rows of `row` or a part of one.
  void Add(absl::Span<const float> x, uint64_t first, uint64_t row) {
    y_.resize(x.size());
    const absl::Span<float> y = absl::MakeSpan(y_);
    const absl::Span<const float> scale(&scale_, 1);
    if (const auto* block = std::get_if<BlockFormat>(&format_)) {
      row = std::min<uint64_t>(row, x.size());
      FakeQuantizeBlocks(*block, x, row, options_, y);
      CountSaturated(*block, x, row);
    } else if (const auto* integers = std::get_if<IntegerFormat>(&format_)) {
      FakeQuantize(*integers, x, scale, zero_points_, Rounding::kNearestEven, y);
    } else {
      FakeQuantize(*codebook_, x, scale, y);
    }
    std::vector<FormatStats> parts((x.size() + kBlock - 1) / kBlock);
    ParallelForBlocks(x.size(), kBlock, [&](size_t part, size_t begin, size_t end) {
      parts[part] = StatsOf(x.subspan(begin, end - begin), y.subspan(begin, end - begin), first + begin);
    });
    for (const FormatStats& part : parts) Merge(part, result_.stats);
  }

  ScaledStats& result() { return result_; }

 private:
  void CountSaturated(const BlockFormat& format, absl::Span<const float> x, uint64_t row) {
    const size_t per_row = format.BlocksPerRow(row), block = static_cast<size_t>(format.block);
    codes_.resize(x.size());
    scales_.resize(x.size() / row * per_row);
    float tensor_scale;
    QuantizeBlocks(format, x, row, options_, absl::MakeSpan(codes_), absl::MakeSpan(scales_), &tensor_scale);
    const FloatFormat& scale_format = format.scale == BlockScale::kE8m0 ? kFloat8E8m0fnu : kFloat8E4m3fn;
    // int8 has one negative value more.
    const double lowest = format.element ? format.largest_element() : 2;
    std::vector<uint64_t> counts((scales_.size() + kBlock - 1) / kBlock);
    ParallelForBlocks(scales_.size(), kBlock, [&](size_t part, size_t begin, size_t end) {
      for (size_t b = begin; b < end; ++b) {
        const double scale = Decode(scale_format, scales_[b]) * tensor_scale;
        const double most = format.largest_element() * scale, least = -lowest * scale;
        const size_t from = b / per_row * row + b % per_row * block;
        const size_t to = std::min(from + block, (b / per_row + 1) * row);
        for (size_t i = from; i < to; ++i) counts[part] += x[i] > most || x[i] < least;
      }
    });
    for (const uint64_t count : counts) result_.saturated += count;
  }

  QuantFormat format_;
  BlockOptions options_;
  float scale_ = 1;
  std::vector<int32_t> zero_points_;
  absl::optional<Codebook> codebook_;
  ScaledStats result_;
  std::vector<float> y_;
  std::vector<uint8_t> codes_, scales_;
};

}  // namespace

int ReadingsFor(absl::Span<const QuantFormat> formats) {
  return std::any_of(formats.begin(), formats.end(), IsAffine) ? 2 : 1;
}

absl::StatusOr<std::vector<ScaledStats>> MeasureScaled(const ArrayFile& file, size_t index,
                                                       absl::Span<const QuantFormat> formats,
                                                       const NumberStats& numbers,
                                                       absl::FunctionRef<void(uint64_t bytes)> read) {
  const FileArray& array = file.arrays()[index];
  const float amax = static_cast<float>(std::min<double>(numbers.max_magnitude, FLT_MAX));
  Range range = {-amax, amax};
  if (array.bytes > 0 && ReadingsFor(formats) == 2) {
    ASSIGN_OR_RETURN(range, ReadRange(file, index, read));
  }
  std::vector<Measure> measures;
  for (const QuantFormat& format : formats) measures.emplace_back(format, range);
  uint64_t left_out = 0;
  if (array.bytes > 0) {
    const uint64_t row = RowOf(array);
    std::vector<float> finite;
    RETURN_IF_ERROR(ReadFloatBatches(file, index, row, [&](uint64_t first, absl::Span<const float> x) {
      // Zeros in their place leave all other numbers' results as they are.
      finite.assign(x.begin(), x.end());
      uint64_t zeros = 0;
      for (float& v : finite) {
        if (std::isfinite(v)) continue;
        v = 0;
        ++zeros;
      }
      for (Measure& measure : measures) {
        measure.Add(finite, first, row);
        measure.result().stats.measured -= zeros;
        measure.result().stats.exact -= zeros;
      }
      left_out += zeros;
      read(x.size() * SizeOf(array.type));
      return absl::OkStatus();
    }));
  }
  std::vector<ScaledStats> results;
  for (Measure& measure : measures) {
    results.push_back(measure.result());
    results.back().saturated += left_out - numbers.nans - numbers.infinities;
  }
  return results;
}

}  // namespace halftone
