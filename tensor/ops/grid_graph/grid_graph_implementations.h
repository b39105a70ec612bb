// The implementations of grid_graph.h, fastest first; the first that supports a dtype is used.
#ifndef HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_IMPLEMENTATIONS_H_

#include <cmath>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone::ops {

// A grid of [rows, columns] nodes of so many features each.
struct GridGraphProblem {
  DType dtype;
  int64_t rows, columns, features;

  int64_t Elements() const { return rows * columns * features; }
  bool Has(int64_t row, int64_t column) const {
    return row >= 0 && row < rows && column >= 0 && column < columns;
  }
  double Degree(int64_t row, int64_t column) const {
    return 1.0 + (row > 0) + (row + 1 < rows) + (column > 0) + (column + 1 < columns);
  }
  double Coefficient(int64_t row, int64_t column, int64_t to_row, int64_t to_column) const {
    return 1 / std::sqrt(Degree(row, column) * Degree(to_row, to_column));
  }
};

struct GridGraphImplementation {
  absl::string_view name;
  bool (*supports)(DType dtype);
  // One grid, one thread. `bias`: of features, float (double for f64), or null for zeros.
  void (*spread)(const GridGraphProblem&, const void* x, const void* bias, void* y);
  // sum[f] += x's feature f over `nodes` nodes, of the bias's type.
  void (*sum)(DType dtype, const void* x, int64_t nodes, int64_t features, void* sum);
};

absl::Span<const GridGraphImplementation> GridGraphImplementations();

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_IMPLEMENTATIONS_H_
