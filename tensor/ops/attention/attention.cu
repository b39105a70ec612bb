// Batched products by cuBLASLt of queries, keys and values as they lie; the softmax between them by our own
// kernels.
#include "tensor/cuda/cublas.h"
#include "tensor/ops/attention/attention_kernels.h"
#include "tensor/ops/attention/head_layout.h"
#include "tensor/ops/attention/softmax_kernels.h"
#include "tensor/ops/dropout/dropout.h"

namespace halftone::ops {
namespace {

// A matrix of every head.
struct Matrices {
  Tensor tensor;
  HeadLayout layout;
  int64_t rows, columns;
  bool transposed = false;  // `rows` and `columns` are those after it

  Matrices Transposed() const { return {tensor, layout, columns, rows, !transposed}; }
};

Matrices In(const AttentionProblem& p, const Columns& c) {
  return {c.tensor, LayoutOf(p, c), p.length, p.head_width};
}
Matrices Squares(const AttentionProblem& p, const Tensor& t) {
  return {t, SquareLayout(p), p.length, p.length};
}

// c = scale * a b, for each head.
void Multiply(const AttentionProblem& p, const Matrices& a, const Matrices& b, Matrices c, double scale = 1) {
  const HeadBatches batches(p);
  const auto layout = [&](const Matrices& m) {
    return cuda::MatrixLayout{.row = m.layout.row, .stride = batches.Stride(m.layout)};
  };
  const cuda::Product product = {.in = a.tensor.dtype(),
                                 .out = c.tensor.dtype(),
                                 .m = c.rows,
                                 .k = a.columns,
                                 .n = c.columns,
                                 .batch = batches.batch,
                                 .transpose_a = a.transposed,
                                 .transpose_b = b.transposed,
                                 .a = layout(a),
                                 .b = layout(b),
                                 .c = layout(c)};
  for (int64_t i = 0; i < batches.products; ++i) {
    const auto at = [&](const void* data, const Matrices& m) {
      return static_cast<const char*>(data) + batches.First(m.layout, i) * SizeOf(m.tensor.dtype());
    };
    cuda::Multiply(c.tensor.device(), product, at(a.tensor.device_raw(), a), at(b.tensor.device_raw(), b),
                   const_cast<char*>(at(c.tensor.device_raw(), c)), scale);
  }
}

void Forward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
             const Tensor& mask, Tensor& y, Tensor& probabilities) {
  Multiply(p, In(p, q), In(p, k).Transposed(), Squares(p, probabilities), p.scale());
  kSoftmaxKernels.forward(p, mask, probabilities);
  const Tensor kept = DropoutForward(probabilities, p.dropout, p.stream);
  Multiply(p, Squares(p, kept), In(p, v), In(p, {y}));
}

void Backward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
              const Tensor& probabilities, const Tensor& dy, Columns& dq, Columns& dk, Columns& dv) {
  const Matrices dys = In(p, {dy});
  {
    const Tensor kept = DropoutForward(probabilities, p.dropout, p.stream);
    Multiply(p, Squares(p, kept).Transposed(), dys, In(p, dv));
  }
  Tensor gradient = Tensor::Empty(dy.device(), dy.dtype(), probabilities.shape());
  Multiply(p, dys, In(p, v).Transposed(), Squares(p, gradient));
  kSoftmaxKernels.backward(p, probabilities, gradient);
  Multiply(p, Squares(p, gradient), In(p, k), In(p, dq), p.scale());
  Multiply(p, Squares(p, gradient).Transposed(), In(p, q), In(p, dk), p.scale());
}

}  // namespace

const AttentionKernels kAttentionKernels = {.forward = Forward, .backward = Backward};

}  // namespace halftone::ops
