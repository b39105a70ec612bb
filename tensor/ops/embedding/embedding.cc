#include "tensor/ops/embedding/embedding.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/embedding/embedding_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kGrain = 16;     // rows worth a thread
constexpr int64_t kColumns = 64;  // that are summed together

void CheckDType(DType dtype) { HALFTONE_CHECK(dtype == DType::kF32 || dtype == DType::kF64); }

// Calls body(T()) for the dtype, f32 or f64.
template <typename F>
void Visit(DType dtype, F body) {
  if (dtype == DType::kF64) return body(double());
  body(float());
}

// For the host; kernels check the numbers as they go.
void CheckIndex(const Tensor& index, int64_t rows) {
  for (const int64_t i : index.span<int64_t>()) HALFTONE_CHECK(i >= 0 && i < rows);
}

// The places of each number that the index holds, in the index's order.
struct Places {
  std::vector<int64_t> order;    // of the places: by number, then by place
  std::vector<size_t> begins;    // of each number's places in `order`, and the end
  std::vector<int64_t> numbers;  // rising
};

Places Group(const Tensor& index, int64_t rows, int64_t padding_row) {
  const int64_t* number = index.data<int64_t>();
  std::vector<int64_t> ends(static_cast<size_t>(rows) + 1);
  for (const int64_t i : index.span<int64_t>()) ++ends[i + 1];
  if (padding_row >= 0) ends[padding_row + 1] = 0;
  Places places;
  for (int64_t v = 0; v < rows; ++v) {
    if (ends[v + 1] > 0) {
      places.numbers.push_back(v);
      places.begins.push_back(static_cast<size_t>(ends[v]));
    }
    ends[v + 1] += ends[v];
  }
  places.begins.push_back(static_cast<size_t>(ends[rows]));
  places.order.resize(ends[rows]);
  for (int64_t r = 0; r < index.elements(); ++r) {
    if (number[r] != padding_row) places.order[ends[number[r]]++] = r;
  }
  return places;
}

}  // namespace

Tensor EmbeddingForward(absl::Span<const Lookup> lookups) {
  HALFTONE_CHECK(!lookups.empty());
  const Tensor& first = lookups[0].table;
  CheckDType(first.dtype());
  const Shape& index_shape = lookups[0].index.shape();
  const int64_t d = first.shape()[-1];
  for (const Lookup& l : lookups) {
    HALFTONE_CHECK(l.table.shape().rank() == 2 && l.table.shape()[1] == d &&
                   l.table.dtype() == first.dtype() && l.index.shape() == index_shape);
  }
  std::vector<int64_t> dims(index_shape.dims().begin(), index_shape.dims().end());
  dims.push_back(d);
  Tensor y = Tensor::Empty(first.device(), first.dtype(), Shape(dims));
  if (const auto* kernels = first.device().Kernels<EmbeddingKernels>()) {
    kernels->forward(lookups, y);
    return y;
  }
  for (const Lookup& l : lookups) CheckIndex(l.index, l.table.shape()[0]);
  Visit(first.dtype(), [&](auto type) {
    using T = decltype(type);
    T* const result = y.data<T>();
    ParallelFor(static_cast<size_t>(index_shape.elements()), kGrain, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        T* to = result + static_cast<int64_t>(r) * d;
        const auto row = [&](const Lookup& l) { return l.table.data<T>() + l.index.data<int64_t>()[r] * d; };
        std::copy_n(row(lookups[0]), d, to);
        for (const Lookup& l : lookups.subspan(1)) {
          const T* from = row(l);
          for (int64_t j = 0; j < d; ++j) to[j] += from[j];
        }
      }
    });
  });
  return y;
}

Tensor EmbeddingBackward(const Tensor& dy, const Tensor& index, int64_t rows, int64_t padding_row) {
  const int64_t d = dy.shape()[-1];
  CheckDType(dy.dtype());
  HALFTONE_CHECK(dy.elements() == index.elements() * d && padding_row < rows);
  Tensor gradient = Tensor::Zeros(dy.device(), dy.dtype(), {rows, d});
  if (const auto* kernels = dy.device().Kernels<EmbeddingKernels>()) {
    kernels->backward(dy, index, padding_row, gradient);
    return gradient;
  }
  CheckIndex(index, rows);
  const Places places = Group(index, rows, padding_row);
  const auto blocks = static_cast<size_t>((d + kColumns - 1) / kColumns);
  Visit(dy.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* const terms = dy.data<T>();
    T* const sums_of_rows = gradient.data<T>();
    // Blocks of columns too, because a table may have few rows: two types of tokens.
    ParallelFor(places.numbers.size() * blocks, kGrain, [&](size_t begin, size_t end) {
      for (size_t item = begin; item < end; ++item) {
        const size_t group = item / blocks;
        const int64_t column = static_cast<int64_t>(item % blocks) * kColumns;
        const int64_t width = std::min(kColumns, d - column);
        double sums[kColumns] = {};
        for (size_t i = places.begins[group]; i < places.begins[group + 1]; ++i) {
          const T* from = terms + places.order[i] * d + column;
          for (int64_t j = 0; j < width; ++j) sums[j] += static_cast<double>(from[j]);
        }
        T* to = sums_of_rows + places.numbers[group] * d + column;
        for (int64_t j = 0; j < width; ++j) to[j] = static_cast<T>(sums[j]);
      }
    });
  });
  return gradient;
}

}  // namespace halftone::ops
