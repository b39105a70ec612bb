#include "quant/scales.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/parallel.h"
#include "quant/scaled.h"
#include "quant/scales_kernels.h"

namespace halftone {
namespace {

using quant_internal::InRange;
using quant_internal::Range;

// Elements that one thread looks at at a time, for what several passes over them do: they stay in a core's
// first cache.
constexpr size_t kBlock = 2048;
// From this many elements on a percentile is found by histograms.
constexpr size_t kManyElements = 1 << 18;

// The rows of x, each cut into blocks.
class RowBlocks {
 public:
  RowBlocks(absl::Span<const float> x, size_t rows, size_t block_size)
      : x_(x), rows_(rows), row_size_(rows == 0 ? 0 : x.size() / rows), block_size_(block_size) {
    HALFTONE_CHECK(rows > 0 && x.size() % rows == 0);
  }

  size_t per_row() const { return (row_size_ + block_size_ - 1) / block_size_; }
  size_t count() const { return rows_ * per_row(); }
  absl::Span<const float> row(size_t i) const { return x_.subspan(i * row_size_, row_size_); }

  // body(number, row, elements) for every block, on several threads; number / per_row() is the row.
  template <class Body>
  void ForEach(Body body) const {
    if (x_.empty()) return;
    const size_t grain = 1 + block_size_ / row_size_ * 8;
    ParallelFor(count(), grain, [&](size_t first, size_t last) {
      for (size_t b = first; b < last; ++b) {
        const size_t row_number = b / per_row(), begin = b % per_row() * block_size_;
        body(b, row_number, row(row_number).subspan(begin, block_size_));
      }
    });
  }

 private:
  absl::Span<const float> x_;
  size_t rows_, row_size_, block_size_;
};

std::vector<float> Amaxes(absl::Span<const float> x, size_t rows) {
  const RowBlocks blocks(x, rows, size_t{1} << 16);
  std::vector<float> partial(blocks.count()), result(rows);
  blocks.ForEach([&](size_t b, size_t, absl::Span<const float> part) {
    partial[b] = quant_internal::LargestMagnitude(part.data(), part.size());
  });
  for (size_t b = 0; b < partial.size(); ++b) {
    float& amax = result[b / blocks.per_row()];
    amax = std::max(amax, partial[b]);
  }
  return result;
}

std::vector<Range> Ranges(absl::Span<const float> x, size_t rows) {
  const RowBlocks blocks(x, rows, size_t{1} << 16);
  std::vector<Range> partial(blocks.count()), result(rows);
  blocks.ForEach([&](size_t b, size_t, absl::Span<const float> part) {
    partial[b] = quant_internal::RangeOf(part.data(), part.size());
  });
  for (size_t b = 0; b < partial.size(); ++b) {
    Range& range = result[b / blocks.per_row()];
    range = {std::min(range.lowest, partial[b].lowest), std::max(range.highest, partial[b].highest)};
  }
  return result;
}

constexpr uint32_t kInfinityBits = 0x7f800000;

uint32_t MagnitudeBits(float x) { return std::bit_cast<uint32_t>(x) & 0x7fffffff; }

size_t Rank(double percentile, size_t n) {
  return std::clamp<size_t>(static_cast<size_t>(std::ceil(percentile * static_cast<double>(n) / 100)), 1, n);
}

// How many numbers have each value of digit(bits), of those for which it is within [0, 2^16).
template <class Digit>
std::vector<size_t> Histogram(absl::Span<const float> x, Digit digit) {
  constexpr size_t kBins = 1 << 16, kParts = 16;
  const size_t part = (x.size() + kParts - 1) / kParts;
  std::vector<uint32_t> counts(kBins * kParts);
  ParallelForBlocks(x.size(), part, [&](size_t p, size_t begin, size_t end) {
    uint32_t* const bins = &counts[p * kBins];
    for (size_t i = begin; i < end; ++i) {
      const uint32_t bin = digit(MagnitudeBits(x[i]));
      if (bin < kBins) ++bins[bin];
    }
  });
  std::vector<size_t> result(kBins);
  for (size_t i = 0; i < counts.size(); ++i) result[i % kBins] += counts[i];
  return result;
}

// The bin of the rank-th number, of which `rank` becomes the rank within the bin.
uint32_t BinOf(const std::vector<size_t>& histogram, size_t* rank) {
  uint32_t bin = 0;
  for (; *rank > histogram[bin]; ++bin) *rank -= histogram[bin];
  return bin;
}

// As ScaleOptions::percentile says, but for amax.
float PercentileOf(absl::Span<const float> x, double percentile) {
  constexpr uint32_t kNoBin = 1 << 16;
  if (x.size() < kManyElements) {
    std::vector<uint32_t> magnitudes;
    for (const float v : x) {
      if (MagnitudeBits(v) < kInfinityBits) magnitudes.push_back(MagnitudeBits(v));
    }
    if (magnitudes.empty()) return 0;
    const auto at = magnitudes.begin() + static_cast<ptrdiff_t>(Rank(percentile, magnitudes.size()) - 1);
    std::nth_element(magnitudes.begin(), at, magnitudes.end());
    return std::bit_cast<float>(*at);
  }
  const std::vector<size_t> upper =
      Histogram(x, [](uint32_t bits) { return bits < kInfinityBits ? bits >> 16 : kNoBin; });
  size_t finite = 0;
  for (const size_t count : upper) finite += count;
  if (finite == 0) return 0;
  size_t rank = Rank(percentile, finite);
  const uint32_t top = BinOf(upper, &rank);
  const std::vector<size_t> lower =
      Histogram(x, [top](uint32_t bits) { return bits >> 16 == top ? bits & 0xffff : kNoBin; });
  return std::bit_cast<float>(top << 16 | BinOf(lower, &rank));
}

// By row, where there is a percentile to cut to; `amaxes` where it is 0.
void CutToPercentile(absl::Span<const float> x, double percentile, absl::Span<float> amaxes) {
  HALFTONE_CHECK(percentile > 0 && percentile <= 100);
  const RowBlocks rows(x, amaxes.size(), std::max<size_t>(x.size(), 1));
  const auto cut = [&](size_t row) {
    const float magnitude = PercentileOf(rows.row(row), percentile);
    if (magnitude > 0) amaxes[row] = magnitude;
  };
  if (amaxes.size() == 1) return cut(0);  // which goes over several threads itself
  ParallelFor(amaxes.size(), 1, [&](size_t first, size_t last) {
    for (size_t row = first; row < last; ++row) cut(row);
  });
}

float RoundUpToPowerOfTwo(float scale) {
  int exponent;
  return std::frexp(scale, &exponent) == 0.5f ? scale : std::ldexp(1.0f, std::min(exponent, 127));
}

// A scale and, of affine integers, a zero point.
struct Candidate {
  float scale;
  int32_t zero_point = 0;
};

Candidate AffineCandidate(const IntegerFormat& format, Range range, bool power_of_two) {
  if (range.lowest == range.highest) return {1, 0};
  float scale = quant_internal::AffineScaleOf(format, range.lowest, range.highest);
  if (power_of_two) scale = RoundUpToPowerOfTwo(scale);
  return {scale, quant_internal::ZeroPointOf(format, range.lowest, scale)};
}

// What of amax kMse tries.
std::vector<double> PartsToTry(bool power_of_two) {
  if (power_of_two) return {1, 0.5, 0.25, 0.125};
  std::vector<double> parts;
  for (int percent = 100; percent > 20; --percent) parts.push_back(percent / 100.0);
  return parts;
}

// candidate(row, part): that of a part of the row's amax or range. fake_quantize(x, candidate, y).
// result[row]: that of the least sum of squared errors, the first of equal ones.
template <class CandidateOf, class FakeQuantizeOf>
std::vector<Candidate> SearchMse(absl::Span<const float> x, size_t rows, bool power_of_two,
                                 CandidateOf candidate, FakeQuantizeOf fake_quantize) {
  const std::vector<double> parts = PartsToTry(power_of_two);
  std::vector<std::vector<Candidate>> candidates(rows);
  for (size_t row = 0; row < rows; ++row) {
    for (const double part : parts) candidates[row].push_back(candidate(row, part));
  }
  const size_t tried = parts.size();
  const RowBlocks blocks(x, rows, kBlock);
  std::vector<double> errors(blocks.count() * tried);
  blocks.ForEach([&](size_t b, size_t row, absl::Span<const float> part) {
    float y[kBlock];
    for (size_t c = 0; c < tried; ++c) {
      fake_quantize(part, candidates[row][c], absl::MakeSpan(y, part.size()));
      errors[b * tried + c] = quant_internal::SumOfSquaredErrors(part.data(), y, part.size());
    }
  });
  std::vector<Candidate> result(rows);
  for (size_t row = 0; row < rows; ++row) {
    double least = std::numeric_limits<double>::infinity();
    result[row] = candidates[row][0];
    for (size_t c = 0; c < tried; ++c) {
      double error = 0;
      for (size_t b = row * blocks.per_row(); b < (row + 1) * blocks.per_row(); ++b)
        error += errors[b * tried + c];
      if (error < least) {
        least = error;
        result[row] = candidates[row][c];
      }
    }
  }
  return result;
}

template <class FakeQuantizeOf>
void ComputeMseScales(absl::Span<const float> x, double largest, const ScaleOptions& options,
                      absl::Span<float> scales, FakeQuantizeOf fake_quantize) {
  const std::vector<float> amaxes = Amaxes(x, scales.size());
  const std::vector<Candidate> best = SearchMse(
      x, scales.size(), options.power_of_two,
      [&](size_t row, double part) {
        const auto magnitude = static_cast<float>(amaxes[row] * part);
        return Candidate{ScaleOf(magnitude, largest, options.power_of_two)};
      },
      fake_quantize);
  for (size_t row = 0; row < scales.size(); ++row) scales[row] = best[row].scale;
}

}  // namespace

float Amax(absl::Span<const float> x) { return Amaxes(x, 1)[0]; }

float ScaleOf(float amax, double largest, bool power_of_two) {
  HALFTONE_CHECK(amax >= 0 && amax <= FLT_MAX && largest > 0);
  const float scale = quant_internal::ExactScaleOf(amax, largest);
  if (amax == 0) return scale;
  return power_of_two ? RoundUpToPowerOfTwo(scale) : scale;
}

void ComputeScales(double largest, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales) {
  HALFTONE_CHECK(options.rule != ScaleRule::kMse);
  std::vector<float> amaxes = Amaxes(x, scales.size());
  if (options.rule == ScaleRule::kPercentile) {
    CutToPercentile(x, options.percentile, absl::MakeSpan(amaxes));
  }
  for (size_t row = 0; row < scales.size(); ++row) {
    scales[row] = ScaleOf(amaxes[row], largest, options.power_of_two);
  }
}

void ComputeScales(const FloatFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales) {
  if (options.rule != ScaleRule::kMse) return ComputeScales(format.largest_finite(), x, options, scales);
  ComputeMseScales(x, format.largest_finite(), options, scales,
                   [&](absl::Span<const float> part, Candidate c, absl::Span<float> y) {
                     FakeQuantize(format, part, {c.scale}, Rounding::kNearestEven, y);
                   });
}

void ComputeScales(const IntegerFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales) {
  if (options.rule != ScaleRule::kMse) return ComputeScales(format.highest(), x, options, scales);
  ComputeMseScales(x, format.highest(), options, scales,
                   [&](absl::Span<const float> part, Candidate c, absl::Span<float> y) {
                     FakeQuantize(format, part, {c.scale}, {}, Rounding::kNearestEven, y);
                   });
}

void ComputeScales(const IntegerFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales, absl::Span<int32_t> zero_points) {
  HALFTONE_CHECK(format.affine && zero_points.size() == scales.size());
  const size_t rows = scales.size();
  std::vector<Range> ranges = Ranges(x, rows);
  if (options.rule == ScaleRule::kPercentile) {
    std::vector<float> most(rows, FLT_MAX);
    CutToPercentile(x, options.percentile, absl::MakeSpan(most));
    for (size_t row = 0; row < rows; ++row) {
      ranges[row] = {std::max(ranges[row].lowest, -most[row]), std::min(ranges[row].highest, most[row])};
    }
  }
  const auto candidate = [&](size_t row, double part) {
    const Range range = {static_cast<float>(ranges[row].lowest * part),
                         static_cast<float>(ranges[row].highest * part)};
    return AffineCandidate(format, range, options.power_of_two);
  };
  std::vector<Candidate> best;
  if (options.rule == ScaleRule::kMse) {
    best = SearchMse(x, rows, options.power_of_two, candidate,
                     [&](absl::Span<const float> part, Candidate c, absl::Span<float> y) {
                       FakeQuantize(format, part, {c.scale}, {c.zero_point}, Rounding::kNearestEven, y);
                     });
  } else {
    for (size_t row = 0; row < rows; ++row) best.push_back(candidate(row, 1));
  }
  for (size_t row = 0; row < rows; ++row) {
    scales[row] = best[row].scale;
    zero_points[row] = best[row].zero_point;
  }
}

float LsqInitialScale(absl::Span<const float> x, double largest) {
  HALFTONE_CHECK(largest > 0);
  const RowBlocks blocks(x, 1, kBlock);
  std::vector<double> sums(blocks.count());
  std::vector<size_t> counts(blocks.count());
  blocks.ForEach([&](size_t b, size_t, absl::Span<const float> part) {
    sums[b] = quant_internal::SumOfMagnitudes(part.data(), part.size());
    for (const float v : part) counts[b] += MagnitudeBits(v) < kInfinityBits;
  });
  double sum = 0;
  size_t count = 0;
  for (size_t b = 0; b < sums.size(); ++b) {
    sum += sums[b];
    count += counts[b];
  }
  if (sum == 0) return 1;
  return InRange(2 * sum / static_cast<double>(count) / std::sqrt(largest));
}

double LsqGradientFactor(size_t n, double largest) {
  HALFTONE_CHECK(n > 0 && largest > 0);
  return 1 / std::sqrt(static_cast<double>(n) * largest);
}

AmaxHistory::AmaxHistory(size_t length) : length_(length) { HALFTONE_CHECK(length > 0); }

void AmaxHistory::Add(float amax) {
  if (!(amax >= 0 && amax <= FLT_MAX)) return;
  if (values_.size() == length_) values_.erase(values_.begin());
  values_.push_back(amax);
}

float AmaxHistory::Max() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

absl::Status AmaxHistory::Restore(absl::Span<const float> values) {
  if (values.size() > length_) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d values for an amax history of %d: restore it with the length it was saved with",
                        values.size(), length_));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= 0 && values[i] <= FLT_MAX)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "value %d of an amax history is %g; expected finite numbers of at least 0", i, values[i]));
    }
  }
  values_.assign(values.begin(), values.end());
  return absl::OkStatus();
}

}  // namespace halftone
