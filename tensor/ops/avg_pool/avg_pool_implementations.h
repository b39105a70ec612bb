// The implementations of avg_pool.h, fastest first; the first that supports a dtype is used.
#ifndef HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_IMPLEMENTATIONS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone::ops {

struct AvgPoolProblem {
  DType dtype;
  int64_t n, h, w, c;
  int64_t out_h, out_w;

  // Output o of `outputs` covers [First, Last) of `size` inputs.
  static constexpr int64_t First(int64_t o, int64_t size, int64_t outputs) { return o * size / outputs; }
  static constexpr int64_t Last(int64_t o, int64_t size, int64_t outputs) {
    return ((o + 1) * size + outputs - 1) / outputs;
  }
};

struct AvgPoolImplementation {
  absl::string_view name;
  bool (*supports)(DType dtype);
  // Output row `row` = n * out_h + oh of forward, input row n * h + h of backward; one thread.
  void (*forward)(const AvgPoolProblem&, int64_t row, const void* x, void* y);
  void (*backward)(const AvgPoolProblem&, int64_t row, const void* dy, void* dx);
};

absl::Span<const AvgPoolImplementation> AvgPoolImplementations();

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_AVG_POOL_AVG_POOL_IMPLEMENTATIONS_H_
