// A product of matrices without its numbers, as this project writes it and as cuBLAS does.
#ifndef HALFTONE_TENSOR_CUDA_CUBLAS_PRODUCT_H_
#define HALFTONE_TENSOR_CUDA_CUBLAS_PRODUCT_H_

#include <cstdint>
#include <utility>

#include "tensor/dtype.h"

namespace halftone::cuda {

// Where the elements of a matrix lie, of which there are `batch`: row by row.
struct MatrixLayout {
  int64_t row = 0;     // from one row to the next, elements
  int64_t stride = 0;  // from one matrix to the next

  friend bool operator==(const MatrixLayout&, const MatrixLayout&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const MatrixLayout& l) {
    return H::combine(std::move(state), l.row, l.stride);
  }
};

// c [m, n] = a b, where a is [m, k], or the transpose of what lies in memory as [k, m]; b is [k, n], or the
// transpose of [n, k].
struct Product {
  DType in = DType::kF32;  // of a and b; kU8: codes of 8-bit floats, E4M3 but where the following say E5M2
  bool e5m2_a = false, e5m2_b = false;
  DType out = DType::kF32;  // of c: as `in`, or float32 where that has 16 bits or fewer
  int64_t m = 0, k = 0, n = 0, batch = 1;
  bool transpose_a = false, transpose_b = false;
  MatrixLayout a, b, c;
  bool bias = false;  // n numbers, of c's dtype, added to each row; not for float64

  friend bool operator==(const Product&, const Product&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Product& p) {
    return H::combine(std::move(state), p.in, p.e5m2_a, p.e5m2_b, p.out, p.m, p.k, p.n, p.batch,
                      p.transpose_a, p.transpose_b, p.a, p.b, p.c, p.bias);
  }
};

// What cuBLAS calls a matrix: `rows` x `columns`, column by column.
struct ColumnMajor {
  int64_t rows = 0, columns = 0, leading = 0;
  bool transpose = false;  // before it is multiplied
};

// The transposed product, column by column, is the same memory: first * second = result.
struct ColumnMajorProduct {
  ColumnMajor first;   // is b
  ColumnMajor second;  // is a
  ColumnMajor result;  // is c
};

inline ColumnMajorProduct ForCublas(const Product& p) {
  return {.first = {.rows = p.transpose_b ? p.k : p.n,
                    .columns = p.transpose_b ? p.n : p.k,
                    .leading = p.b.row,
                    .transpose = p.transpose_b},
          .second = {.rows = p.transpose_a ? p.m : p.k,
                     .columns = p.transpose_a ? p.k : p.m,
                     .leading = p.a.row,
                     .transpose = p.transpose_a},
          .result = {.rows = p.n, .columns = p.m, .leading = p.c.row}};
}

// The largest power of two, up to 256, that divides the address of every matrix of a batch: what an algorithm
// that loads many elements at a time asks for.
inline uint32_t AlignmentOf(const void* data, const MatrixLayout& layout, int64_t batch, DType dtype) {
  uint64_t bits = reinterpret_cast<uintptr_t>(data) | 256;
  if (batch > 1) bits |= static_cast<uint64_t>(layout.stride) * SizeOf(dtype);
  return static_cast<uint32_t>(bits & (~bits + 1));
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_CUBLAS_PRODUCT_H_
