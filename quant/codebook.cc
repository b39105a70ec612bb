#include "quant/codebook.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/parallel.h"
#include "quant/codebook_kernels.h"

namespace halftone {
namespace {

// A thread's least share of a loop.
constexpr size_t kGrain = 16384;
// Elements whose gradients are summed together: fixed, so that sums do not depend on the number of threads.
constexpr size_t kBlock = 65536;
// An output of so many floats, in rows of at least so many, is written past the caches, which it would fill.
constexpr size_t kStreamed = size_t{1} << 22, kStreamedRow = 4096;

size_t RowLength(size_t elements, absl::Span<const float> scales) {
  HALFTONE_CHECK(!scales.empty() && elements % scales.size() == 0);
  return elements / scales.size();
}

bool Streams(size_t elements, size_t row_length, const void* input, const void* output) {
  return elements >= kStreamed && row_length >= kStreamedRow && input != output;
}

// Calls piece(row, begin, end) for ranges, none across rows, that cover all elements; in parallel.
template <class Piece>
void ForEachPiece(size_t elements, size_t row_length, const Piece& piece) {
  ParallelFor(elements, kGrain, [&](size_t begin, size_t end) {
    while (begin < end) {
      const size_t row = begin / row_length, row_end = std::min(end, (row + 1) * row_length);
      piece(row, begin, row_end);
      begin = row_end;
    }
  });
}

}  // namespace

absl::StatusOr<Codebook> Codebook::Create(absl::Span<const float> values) {
  const size_t size = values.size();
  if (size < 2 || size > kMaxSize) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a codebook has 2 to %d values, not %d", kMaxSize, size));
  }
  std::vector<float> positive_zeros(size);
  for (size_t j = 0; j < size; ++j) {
    if (!std::isfinite(values[j])) {
      return absl::InvalidArgumentError(
          absl::StrFormat("a codebook's values must be finite: value %d is %g", j, values[j]));
    }
    if (j > 0 && values[j] < values[j - 1]) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "a codebook's values must be in ascending order: value %d, %g, is below the one before, "
          "%g; sort them",
          j, values[j], values[j - 1]));
    }
    positive_zeros[j] = values[j] + 0.0f;
  }
  return Codebook(positive_zeros);
}

void SortValues(absl::Span<float> values) {
  std::sort(values.begin(), values.end(),
            [](float a, float b) { return std::isnan(b) ? !std::isnan(a) : a < b; });
}

void FakeQuantize(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
                  absl::Span<float> y) {
  HALFTONE_CHECK(x.size() == y.size());
  const size_t length = RowLength(x.size(), scales);
  const bool stream = Streams(x.size(), length, x.data(), y.data());
  ForEachPiece(x.size(), length, [&](size_t row, size_t begin, size_t end) {
    FakeQuantizePiece(codebook.search(), scales[row], x.data() + begin, y.data() + begin, end - begin,
                      stream);
  });
}

void Quantize(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
              absl::Span<uint8_t> codes) {
  HALFTONE_CHECK(x.size() == codes.size());
  ForEachPiece(x.size(), RowLength(x.size(), scales), [&](size_t row, size_t begin, size_t end) {
    QuantizePiece(codebook.search(), scales[row], x.data() + begin, codes.data() + begin, end - begin);
  });
}

void Dequantize(const Codebook& codebook, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<float> y) {
  HALFTONE_CHECK(codes.size() == y.size());
  const size_t length = RowLength(y.size(), scales);
  const bool stream = Streams(y.size(), length, codes.data(), y.data());
  ForEachPiece(y.size(), length, [&](size_t row, size_t begin, size_t end) {
    DequantizePiece(codebook.search(), scales[row], codes.data() + begin, y.data() + begin, end - begin,
                    stream);
  });
}

void FakeQuantizeBackward(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
                          absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dvalues,
                          absl::Span<double> dscales) {
  const size_t n = x.size(), rows = scales.size(), length = RowLength(n, scales), size = codebook.size();
  HALFTONE_CHECK(dy.size() == n && dx.size() == n);
  HALFTONE_CHECK(dvalues.empty() || dvalues.size() == size);
  HALFTONE_CHECK(dscales.empty() || dscales.size() == rows);
  const bool stream = Streams(n, length, x.data(), dx.data()) && dy.data() != dx.data();

  // A block is a part of one row, or several whole rows.
  const size_t parts = std::max<size_t>(1, (length + kBlock - 1) / kBlock);
  const size_t rows_together = parts > 1 ? 1 : kBlock / std::max<size_t>(1, length);
  const size_t blocks = (rows + rows_together - 1) / rows_together * parts;
  std::vector<double> scale_sums(dscales.empty() ? 0 : rows * parts);
  std::vector<double> value_sums(dvalues.empty() ? 0 : blocks * size);
  ParallelForBlocks(blocks, 1, [&](size_t block, size_t, size_t) {
    const size_t part = block % parts, first_row = block / parts * rows_together;
    const size_t begin = part * kBlock, end = std::min(length, begin + kBlock);
    std::vector<double> lanes(dvalues.empty() ? 0 : codebook.search().tree_size * kSumLanes);
    for (size_t row = first_row; row < std::min(rows, first_row + rows_together); ++row) {
      const size_t first = row * length + begin;
      const double scale_sum =
          BackwardPiece(codebook.search(), {.scale = scales[row],
                                            .x = x.data() + first,
                                            .dy = dy.data() + first,
                                            .dx = dx.data() + first,
                                            .n = end - begin,
                                            .value_sums = lanes.empty() ? nullptr : lanes.data(),
                                            .wants_scale = !dscales.empty(),
                                            .stream = stream});
      if (!dscales.empty()) scale_sums[row * parts + part] = scale_sum;
    }
    for (size_t i = 0; i < lanes.size() && i < size * kSumLanes; ++i) {
      value_sums[block * size + i / kSumLanes] += lanes[i];
    }
  });

  std::fill(dvalues.begin(), dvalues.end(), 0.0);
  for (size_t i = 0; i < value_sums.size(); ++i) dvalues[i % size] += value_sums[i];
  std::fill(dscales.begin(), dscales.end(), 0.0);
  for (size_t i = 0; i < scale_sums.size(); ++i) dscales[i / parts] += scale_sums[i];
}

}  // namespace halftone
