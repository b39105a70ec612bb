#include "quant/scaled.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "hwy/cache_control.h"
#include "quant/grid.h"
#include "quant/scaled_kernels.h"

namespace halftone {
namespace {

using quant_internal::FloatGrid;
using quant_internal::HasFloatGrid;
using quant_internal::IntegerGrid;
using quant_internal::kSumBlock;

// A thread gets a multiple of this many elements.
constexpr size_t kGrain = 16384;
// What is done in several passes is done in pieces of this size, which stay in a core's first cache.
constexpr size_t kPiece = 512;
// From this many elements on, input and output are more than a core may hope to keep of the last cache; then
// stores past the cache are faster, for the cache need not read what is overwritten.
constexpr size_t kPastCache = size_t{4} << 20;

// The rows of x; checks what all functions ask for.
class Rows {
 public:
  Rows(size_t n, absl::Span<const float> scales, size_t other_size) : n_(n), rows_(scales.size()) {
    HALFTONE_CHECK(rows_ > 0 && n % rows_ == 0);
    HALFTONE_CHECK(other_size == n);
    for (const float scale : scales) HALFTONE_CHECK(scale >= FLT_MIN && scale <= FLT_MAX);
  }

  size_t size() const { return n_ / rows_; }

  // body(row, begin, n) for pieces of at most `most` elements, each of one row, on several threads.
  template <class Body>
  void ForEachPiece(size_t most, Body body) const {
    const size_t row_size = size();
    ParallelFor(n_, kGrain, [&](size_t begin, size_t end) {
      while (begin < end) {
        const size_t row = begin / row_size;
        const size_t n = std::min({end - begin, (row + 1) * row_size - begin, most});
        body(row, begin, n);
        begin += n;
      }
      hwy::FlushStream();
    });
  }

 private:
  size_t n_, rows_;
};

// The grids of an integer format's rows.
class IntegerRows {
 public:
  IntegerRows(const IntegerFormat& format, absl::Span<const int32_t> zero_points, size_t rows)
      : format_(format), zero_points_(zero_points) {
    HALFTONE_CHECK(format.valid());
    HALFTONE_CHECK(zero_points.empty() || (format.affine && zero_points.size() == rows));
    for (const int32_t z : zero_points) HALFTONE_CHECK(z >= format.lowest() && z <= format.highest());
  }

  int ZeroPoint(size_t row) const { return zero_points_.empty() ? 0 : zero_points_[row]; }
  IntegerGrid Grid(size_t row) const { return IntegerGrid(format_, ZeroPoint(row)); }

 private:
  IntegerFormat format_;
  absl::Span<const int32_t> zero_points_;
};

// The random bits of a piece: none but for stochastic rounding.
class Bits {
 public:
  Bits(Rounding rounding, const RandomBits& random, size_t begin, size_t n)
      : bits_(rounding == Rounding::kStochastic ? random.Get(begin, n, buffer_) : nullptr), n_(n) {}

  const uint32_t* data() const { return bits_; }
  RandomBits random() const {
    return bits_ == nullptr ? RandomBits() : RandomBits(absl::MakeConstSpan(bits_, n_));
  }

 private:
  uint32_t buffer_[kPiece];
  const uint32_t* bits_;
  size_t n_;
};

// grid(row): the rows' grids.
template <class GridOf>
void FakeQuantizeOnGrid(GridOf grid, const Rows& rows, absl::Span<const float> x,
                        absl::Span<const float> scales, absl::Span<float> y) {
  const bool past_cache = x.size() >= kPastCache;
  rows.ForEachPiece(x.size(), [&](size_t row, size_t begin, size_t n) {
    quant_internal::FakeQuantizeRow(grid(row), &x[begin], scales[row], &y[begin], n, past_cache);
  });
}

// nan_code(row, x): the code of a NaN.
template <class GridOf, class NanCode>
void QuantizeOnGrid(GridOf grid, NanCode nan_code, const Rows& rows, absl::Span<const float> x,
                    absl::Span<const float> scales, absl::Span<uint8_t> codes) {
  rows.ForEachPiece(8 * kPiece, [&](size_t row, size_t begin, size_t n) {
    if (!quant_internal::QuantizeRow(grid(row), &x[begin], scales[row], &codes[begin], n)) return;
    for (size_t i = begin; i < begin + n; ++i) {
      if (std::isnan(x[i])) codes[i] = static_cast<uint8_t>(nan_code(row, x[i]));
    }
  });
}

// round(row, q, n, values): what n quotients are rounded to. range(row): {lowest, highest} values.
template <class Round, class Range>
void Backward(Round round, Range range, const Rows& rows, absl::Span<const float> x,
              absl::Span<const float> scales, absl::Span<const float> dy, absl::Span<float> dx,
              absl::Span<double> dscales) {
  HALFTONE_CHECK(dx.size() == x.size());
  HALFTONE_CHECK(dscales.empty() || dscales.size() == scales.size());
  std::fill(dscales.begin(), dscales.end(), 0.0);
  if (x.empty()) return;
  const size_t row_size = rows.size(), blocks = (row_size + kSumBlock - 1) / kSumBlock;
  std::vector<double> sums(scales.size() * blocks);
  ParallelFor(sums.size(), 1 + kGrain / std::min(row_size, kSumBlock), [&](size_t first, size_t last) {
    float q[kSumBlock], values[kSumBlock];
    for (size_t b = first; b < last; ++b) {
      const size_t row = b / blocks, in_row = b % blocks * kSumBlock;
      const size_t begin = row * row_size + in_row, n = std::min(kSumBlock, row_size - in_row);
      const auto [lowest, highest] = range(row);
      quant_internal::DivideRow(&x[begin], scales[row], q, n);
      round(row, q, n, values);
      sums[b] = quant_internal::BackwardBlock(q, values, &dy[begin], lowest, highest, &dx[begin], n);
    }
  });
  for (size_t row = 0; row < dscales.size(); ++row) {
    for (size_t b = 0; b < blocks; ++b) dscales[row] += sums[row * blocks + b];
  }
}

}  // namespace

void FakeQuantize(const FloatFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
                  Rounding rounding, absl::Span<float> y, const RandomBits& random) {
  const Rows rows(x.size(), scales, y.size());
  HALFTONE_CHECK(format.bits() <= 16);
  if (rounding == Rounding::kNearestEven && HasFloatGrid(format)) {
    const FloatGrid grid(format);
    return FakeQuantizeOnGrid([&](size_t) { return grid; }, rows, x, scales, y);
  }
  rows.ForEachPiece(kPiece, [&](size_t row, size_t begin, size_t n) {
    float q[kPiece];
    const Bits bits(rounding, random, begin, n);
    quant_internal::DivideRow(&x[begin], scales[row], q, n);
    const absl::Span<float> values = absl::MakeSpan(q, n);
    RoundAll(format, values, rounding, Overflow::kSaturate, values, bits.random());
    quant_internal::MultiplyRow(&x[begin], q, scales[row], &y[begin], n);
  });
}

void FakeQuantize(const IntegerFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
                  absl::Span<const int32_t> zero_points, Rounding rounding, absl::Span<float> y,
                  const RandomBits& random) {
  const Rows rows(x.size(), scales, y.size());
  const IntegerRows integers(format, zero_points, scales.size());
  if (rounding == Rounding::kNearestEven) {
    return FakeQuantizeOnGrid([&](size_t row) { return integers.Grid(row); }, rows, x, scales, y);
  }
  rows.ForEachPiece(kPiece, [&](size_t row, size_t begin, size_t n) {
    float q[kPiece];
    const Bits bits(rounding, random, begin, n);
    quant_internal::DivideRow(&x[begin], scales[row], q, n);
    quant_internal::RoundIntegers(integers.Grid(row), rounding, bits.data(), q, n);
    quant_internal::MultiplyRow(&x[begin], q, scales[row], &y[begin], n);
  });
}

void Quantize(const FloatFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
              Rounding rounding, absl::Span<uint8_t> codes, const RandomBits& random) {
  const Rows rows(x.size(), scales, codes.size());
  HALFTONE_CHECK(format.bits() <= 8);
  if (rounding == Rounding::kNearestEven && HasFloatGrid(format)) {
    const FloatGrid grid(format);
    const auto nan_code = [&](size_t, float nan) {
      return Encode(format, nan, Rounding::kNearestEven, Overflow::kSaturate);
    };
    return QuantizeOnGrid([&](size_t) { return grid; }, nan_code, rows, x, scales, codes);
  }
  rows.ForEachPiece(kPiece, [&](size_t row, size_t begin, size_t n) {
    float q[kPiece];
    const Bits bits(rounding, random, begin, n);
    quant_internal::DivideRow(&x[begin], scales[row], q, n);
    EncodeAll(format, absl::MakeConstSpan(q, n), rounding, Overflow::kSaturate, codes.subspan(begin, n),
              bits.random());
  });
}

void Quantize(const IntegerFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
              absl::Span<const int32_t> zero_points, Rounding rounding, absl::Span<uint8_t> codes,
              const RandomBits& random) {
  const Rows rows(x.size(), scales, codes.size());
  const IntegerRows integers(format, zero_points, scales.size());
  if (rounding == Rounding::kNearestEven) {
    return QuantizeOnGrid([&](size_t row) { return integers.Grid(row); },
                          [&](size_t row, float) { return integers.ZeroPoint(row); }, rows, x, scales, codes);
  }
  rows.ForEachPiece(kPiece, [&](size_t row, size_t begin, size_t n) {
    float q[kPiece];
    const Bits bits(rounding, random, begin, n);
    quant_internal::DivideRow(&x[begin], scales[row], q, n);
    quant_internal::RoundIntegers(integers.Grid(row), rounding, bits.data(), q, n);
    quant_internal::CodesOfIntegers(q, integers.ZeroPoint(row), &codes[begin], n);
  });
}

void Dequantize(const FloatFormat& format, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<float> y) {
  const Rows rows(codes.size(), scales, y.size());
  HALFTONE_CHECK(format.bits() <= 8);
  rows.ForEachPiece(8 * kPiece, [&](size_t row, size_t begin, size_t n) {
    DecodeAll(format, codes.subspan(begin, n), y.subspan(begin, n));
    quant_internal::ScaleRow(scales[row], &y[begin], n);
  });
}

void Dequantize(const IntegerFormat& format, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<const int32_t> zero_points, absl::Span<float> y) {
  const Rows rows(codes.size(), scales, y.size());
  const IntegerRows integers(format, zero_points, scales.size());
  rows.ForEachPiece(8 * kPiece, [&](size_t row, size_t begin, size_t n) {
    quant_internal::ValuesOfCodes(&codes[begin], integers.ZeroPoint(row), &y[begin], n);
    quant_internal::ScaleRow(scales[row], &y[begin], n);
  });
}

void FakeQuantizeBackward(const FloatFormat& format, absl::Span<const float> x,
                          absl::Span<const float> scales, absl::Span<const float> dy, absl::Span<float> dx,
                          absl::Span<double> dscales) {
  const Rows rows(x.size(), scales, dy.size());
  HALFTONE_CHECK(format.bits() <= 16);
  const auto highest = static_cast<float>(format.largest_finite());
  const float lowest = format.has_sign ? -highest : 0;
  const auto round = [&](size_t, const float* q, size_t n, float* values) {
    if (HasFloatGrid(format)) {
      quant_internal::FakeQuantizeRow(FloatGrid(format), q, 1, values, n, false);
    } else {
      RoundAll(format, absl::MakeConstSpan(q, n), Rounding::kNearestEven, Overflow::kSaturate,
               absl::MakeSpan(values, n));
    }
  };
  Backward(
      round, [&](size_t) { return std::pair(lowest, highest); }, rows, x, scales, dy, dx, dscales);
}

void FakeQuantizeBackward(const IntegerFormat& format, absl::Span<const float> x,
                          absl::Span<const float> scales, absl::Span<const int32_t> zero_points,
                          absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dscales) {
  const Rows rows(x.size(), scales, dy.size());
  const IntegerRows integers(format, zero_points, scales.size());
  const auto round = [&](size_t row, const float* q, size_t n, float* values) {
    quant_internal::FakeQuantizeRow(integers.Grid(row), q, 1, values, n, false);
  };
  const auto range = [&](size_t row) {
    const IntegerGrid grid = integers.Grid(row);
    return std::pair(grid.lowest, grid.highest);
  };
  Backward(round, range, rows, x, scales, dy, dx, dscales);
}

}  // namespace halftone
