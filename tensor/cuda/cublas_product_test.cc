#include "tensor/cuda/cublas_product.h"

#include <vector>

#include "gtest/gtest.h"

namespace halftone::cuda {
namespace {

// Element (i, j) of a matrix of cuBLAS, after its transposition.
double At(const ColumnMajor& m, const std::vector<double>& memory, int64_t i, int64_t j) {
  return m.transpose ? memory[i * m.leading + j] : memory[j * m.leading + i];
}

TEST(CublasProductTest, TheTransposedProductIsTheSameMemory) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      constexpr int64_t m = 3, k = 4, n = 5;
      // Rows lie within wider ones.
      const Product p = {.m = m,
                         .k = k,
                         .n = n,
                         .transpose_a = transpose_a,
                         .transpose_b = transpose_b,
                         .a = {.row = (transpose_a ? m : k) + 1},
                         .b = {.row = (transpose_b ? k : n) + 2},
                         .c = {.row = n + 3}};
      std::vector<double> a((transpose_a ? k : m) * p.a.row), b((transpose_b ? n : k) * p.b.row);
      for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<double>(i * i % 17) - 5;
      for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<double>(i * i % 13) - 4;

      std::vector<double> expected(m * p.c.row), actual(m * p.c.row);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          for (int64_t l = 0; l < k; ++l) {
            const double left = transpose_a ? a[l * p.a.row + i] : a[i * p.a.row + l];
            const double right = transpose_b ? b[j * p.b.row + l] : b[l * p.b.row + j];
            expected[i * p.c.row + j] += left * right;
          }
        }
      }
      const ColumnMajorProduct c = ForCublas(p);
      // What cuBLAS asks of leading dimensions.
      EXPECT_GE(c.first.leading, c.first.rows);
      EXPECT_GE(c.second.leading, c.second.rows);
      EXPECT_GE(c.result.leading, c.result.rows);
      for (int64_t i = 0; i < c.result.rows; ++i) {
        for (int64_t j = 0; j < c.result.columns; ++j) {
          const int64_t terms = c.first.transpose ? c.first.rows : c.first.columns;
          for (int64_t l = 0; l < terms; ++l) {
            actual[j * c.result.leading + i] += At(c.first, b, i, l) * At(c.second, a, l, j);
          }
        }
      }
      EXPECT_EQ(actual, expected) << transpose_a << transpose_b;
    }
  }
}

TEST(CublasProductTest, AlignmentIsThatOfEveryMatrix) {
  const auto* data = reinterpret_cast<const void*>(uintptr_t{0x1000});
  const auto* odd = reinterpret_cast<const void*>(uintptr_t{0x1006});
  EXPECT_EQ(AlignmentOf(data, {}, 1, DType::kF16), 256u);
  EXPECT_EQ(AlignmentOf(odd, {}, 1, DType::kF16), 2u);
  EXPECT_EQ(AlignmentOf(data, {.stride = 24}, 2, DType::kF16), 16u);
  EXPECT_EQ(AlignmentOf(data, {.stride = 24}, 2, DType::kF64), 64u);
  EXPECT_EQ(AlignmentOf(data, {.stride = 3}, 1, DType::kF32), 256u);  // of one there is no next
}

}  // namespace
}  // namespace halftone::cuda
