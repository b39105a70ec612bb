#include "tensor/ops/transpose/transpose.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/transpose/transpose_kernels.h"

namespace halftone::ops {
namespace {

// Rows and columns of the tiles that are moved at a time: whole cache lines on both sides.
constexpr int64_t kTile = 32;

template <typename T>
void MoveTile(const T* from, int64_t m, int64_t n, int64_t rows, int64_t columns, T* to) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * m + i] = from[i * n + j];
  }
}

}  // namespace

Tensor Transpose(const Tensor& x) {
  HALFTONE_CHECK(x.shape().rank() >= 2);
  std::vector<int64_t> dims(x.shape().dims().begin(), x.shape().dims().end());
  const int64_t m = dims[dims.size() - 2], n = dims.back();
  std::swap(dims[dims.size() - 2], dims.back());
  Tensor y = Tensor::Empty(x.device(), x.dtype(), Shape(dims));
  if (x.elements() == 0) return y;
  if (const auto* kernels = x.device().Kernels<TransposeKernels>()) {
    kernels->transpose(x, y);
    return y;
  }
  const int64_t matrices = x.elements() / (m * n), strips = (m + kTile - 1) / kTile;
  VisitFloat(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ParallelFor(static_cast<size_t>(matrices * strips), 4, [&](size_t begin, size_t end) {
      for (auto s = static_cast<int64_t>(begin); s < static_cast<int64_t>(end); ++s) {
        const int64_t matrix = s / strips * m * n, i = s % strips * kTile;
        for (int64_t j = 0; j < n; j += kTile) {
          MoveTile(from + matrix + i * n + j, m, n, std::min(kTile, m - i), std::min(kTile, n - j),
                   to + matrix + j * m + i);
        }
      }
    });
  });
  return y;
}

}  // namespace halftone::ops
