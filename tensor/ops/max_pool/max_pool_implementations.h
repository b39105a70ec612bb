// The implementations of max_pool.h, fastest first; the first that supports a problem is used.
#ifndef HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_IMPLEMENTATIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone::ops {

struct MaxPoolProblem {
  DType dtype;
  int64_t n, h, w, c;
  int64_t out_h, out_w;
  int64_t window, stride, padding;

  // Windows that do not overlap and reach nothing outside the image.
  bool disjoint() const { return stride == window && padding == 0; }

  // Window o covers [Start(o), Start(o) + window), of which [First(o), Last(o, size)) lies in the image.
  constexpr int64_t Start(int64_t o) const { return o * stride - padding; }
  constexpr int64_t First(int64_t o) const { return std::max<int64_t>(Start(o), 0); }
  constexpr int64_t Last(int64_t o, int64_t size) const { return std::min(Start(o) + window, size); }
};

struct MaxPoolImplementation {
  absl::string_view name;
  bool (*supports)(const MaxPoolProblem&);
  void (*forward)(const MaxPoolProblem&, const void* x, void* y, uint8_t* index);
  void (*backward)(const MaxPoolProblem&, const void* dy, const uint8_t* index, void* dx);
};

absl::Span<const MaxPoolImplementation> MaxPoolImplementations();
extern const MaxPoolImplementation kSimdDisjointMaxPool, kSimdMaxPool, kReferenceMaxPool;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_MAX_POOL_MAX_POOL_IMPLEMENTATIONS_H_
