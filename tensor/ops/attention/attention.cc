#include "tensor/ops/attention/attention.h"

#include "base/check.h"
#include "tensor/ops/attention/attention_kernels.h"
#include "tensor/ops/attention/implementations.h"

namespace halftone::ops {
namespace {

const AttentionImplementation& Choose(DType dtype) {
  const AttentionImplementation* row = AttentionImplementations().data();
  while (!row->supports(dtype)) ++row;
  return *row;
}

void Check(const AttentionProblem& p, DType dtype, const Columns& c) {
  const Shape& shape = c.tensor.shape();
  HALFTONE_CHECK(c.tensor.dtype() == dtype && shape.rank() == 3);
  HALFTONE_CHECK(shape[0] == p.batch && shape[1] == p.length);
  HALFTONE_CHECK(c.first >= 0 && c.first + p.width() <= shape[2]);
}

AttentionProblem Problem(const Columns& q, const Columns& k, const Columns& v,
                         const AttentionOptions& options) {
  HALFTONE_CHECK(IsFloat(q.tensor.dtype()) && q.tensor.shape().rank() == 3);
  HALFTONE_CHECK(options.heads >= 1 && options.width >= 1 && options.width % options.heads == 0);
  HALFTONE_CHECK(options.dropout >= 0 && options.dropout < 1);
  const AttentionProblem problem = {.batch = q.tensor.shape()[0],
                                    .length = q.tensor.shape()[1],
                                    .heads = options.heads,
                                    .head_width = options.width / options.heads,
                                    .dropout = options.dropout,
                                    .stream = options.stream};
  for (const Columns* c : {&q, &k, &v}) Check(problem, q.tensor.dtype(), *c);
  return problem;
}

bool Empty(const AttentionProblem& p) { return p.batch == 0 || p.length == 0; }

}  // namespace

absl::Span<const AttentionImplementation> AttentionImplementations() {
  static const AttentionImplementation kRows[] = {kAttentionOneDnn, kAttentionReference};
  return kRows;
}

AttentionResult AttentionForward(const Columns& q, const Columns& k, const Columns& v, const Tensor& mask,
                                 const AttentionOptions& options) {
  const AttentionProblem p = Problem(q, k, v, options);
  HALFTONE_CHECK(!mask.defined() ||
                 (mask.dtype() == DType::kI64 && mask.shape() == Shape({p.batch, p.length})));
  Device& device = q.tensor.device();
  const DType dtype = q.tensor.dtype();
  AttentionResult result = {
      .y = Tensor::Empty(device, dtype, {p.batch, p.length, p.width()}),
      .probabilities = Tensor::Empty(device, dtype, {p.batch, p.heads, p.length, p.length})};
  if (Empty(p)) return result;
  if (const auto* kernels = device.Kernels<AttentionKernels>()) {
    kernels->forward(p, q, k, v, mask, result.y, result.probabilities);
  } else {
    Choose(dtype).forward(p, q, k, v, mask, &result.y, &result.probabilities);
  }
  return result;
}

void AttentionBackward(const Columns& q, const Columns& k, const Columns& v, const Tensor& probabilities,
                       const Tensor& dy, const AttentionOptions& options, Columns dq, Columns dk,
                       Columns dv) {
  const AttentionProblem p = Problem(q, k, v, options);
  const DType dtype = q.tensor.dtype();
  for (const Columns* c : {&dq, &dk, &dv}) Check(p, dtype, *c);
  HALFTONE_CHECK(dy.dtype() == dtype && dy.shape() == Shape({p.batch, p.length, p.width()}));
  HALFTONE_CHECK(probabilities.dtype() == dtype);
  HALFTONE_CHECK(probabilities.shape() == Shape({p.batch, p.heads, p.length, p.length}));
  if (Empty(p)) return;
  if (const auto* kernels = dy.device().Kernels<AttentionKernels>()) {
    kernels->backward(p, q, k, v, probabilities, dy, dq, dk, dv);
  } else {
    Choose(dtype).backward(p, q, k, v, probabilities, dy, &dq, &dk, &dv);
  }
}

}  // namespace halftone::ops
