// The implementations of attention.h, fastest first; the first that supports a dtype is used.
#ifndef HALFTONE_TENSOR_OPS_ATTENTION_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_ATTENTION_IMPLEMENTATIONS_H_

#include <cmath>
#include <cstdint>

#include "absl/types/span.h"
#include "tensor/dtype.h"
#include "tensor/ops/attention/attention.h"

namespace halftone::ops {

struct AttentionProblem {
  int64_t batch = 0, length = 0, heads = 0, head_width = 0;  // none is 0
  double dropout = 0;
  Rng stream = Rng(0);

  int64_t width() const { return heads * head_width; }
  double scale() const { return 1 / std::sqrt(static_cast<double>(head_width)); }
};

struct AttentionImplementation {
  const char* name;
  // Whether it computes this dtype here, on this processor.
  bool (*supports)(DType dtype);
  // As in attention.h, with shapes checked; y and p are there, not initialised.
  void (*forward)(const AttentionProblem& problem, const Columns& q, const Columns& k, const Columns& v,
                  const Tensor& mask, Tensor* y, Tensor* p);
  void (*backward)(const AttentionProblem& problem, const Columns& q, const Columns& k, const Columns& v,
                   const Tensor& p, const Tensor& dy, Columns* dq, Columns* dk, Columns* dv);
};

// The last supports everything.
absl::Span<const AttentionImplementation> AttentionImplementations();

// Products by oneDNN: in the tensors' dtype, or in float32 around 16-bit storage.
extern const AttentionImplementation kAttentionOneDnn;
// The definition, in double, rounded where a dtype's numbers are stored. Slow.
extern const AttentionImplementation kAttentionReference;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ATTENTION_IMPLEMENTATIONS_H_
