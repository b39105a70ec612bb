#include "tensor/ops/linear/float8.h"

#include "base/check.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/ops/linear/linear.h"

namespace halftone::ops {
namespace {

// What multiplies a and b, if something does.
const Float8LinearKernels* KernelsFor(const Factor& a, const Factor& b) {
  if (!a.float8.has_value() || !b.float8.has_value()) return nullptr;
  HALFTONE_CHECK(IsFloat8(a.float8->format) && IsFloat8(b.float8->format));
  HALFTONE_CHECK(a.values.dtype() == DType::kF32 && b.values.dtype() == DType::kF32);
  const bool empty = a.values.elements() == 0 || b.values.elements() == 0;
  return empty ? nullptr : a.values.device().Kernels<Float8LinearKernels>();
}

// [..., N] as [M, N].
Factor Flat(const Factor& f) {
  const int64_t last = f.values.shape()[-1];
  return {f.values.Reshape({f.values.elements() / last, last}), f.float8};
}

}  // namespace

Tensor LinearForward(const Factor& x, const Factor& w, const Tensor& bias, DType y_dtype) {
  if (const auto* kernels = KernelsFor(x, w); kernels != nullptr && y_dtype == DType::kF32) {
    const Factor rows = Flat(x);
    HALFTONE_CHECK(w.values.shape().rank() == 2 && w.values.shape()[1] == rows.values.shape()[1]);
    const int64_t n = w.values.shape()[0];
    Tensor y = Tensor::Empty(x.values.device(), DType::kF32, {rows.values.shape()[0], n});
    if (kernels->forward(rows, w, bias, y)) return y.Reshape(WithLast(x.values, n));
  }
  return LinearForward(x.values, w.values, bias, y_dtype);
}

Tensor LinearBackwardData(const Factor& dy, const Factor& w) {
  if (const auto* kernels = KernelsFor(dy, w)) {
    const Factor rows = Flat(dy);
    HALFTONE_CHECK(w.values.shape().rank() == 2 && w.values.shape()[0] == rows.values.shape()[1]);
    const int64_t k = w.values.shape()[1];
    Tensor dx = Tensor::Empty(dy.values.device(), DType::kF32, {rows.values.shape()[0], k});
    if (kernels->backward_data(rows, w, dx)) return dx.Reshape(WithLast(dy.values, k));
  }
  return LinearBackwardData(dy.values, w.values);
}

WeightGradients LinearBackwardWeights(const Factor& x, const Factor& dy, bool want_bias) {
  if (const auto* kernels = KernelsFor(x, dy)) {
    const Factor xs = Flat(x), dys = Flat(dy);
    HALFTONE_CHECK(xs.values.shape()[0] == dys.values.shape()[0]);
    const int64_t k = xs.values.shape()[1], n = dys.values.shape()[1];
    Device& device = x.values.device();
    WeightGradients grads = {.dw = Tensor::Empty(device, DType::kF32, {n, k})};
    if (want_bias) grads.db = Tensor::Empty(device, DType::kF32, {n});
    if (kernels->backward_weights(xs, dys, grads)) return grads;
  }
  return LinearBackwardWeights(x.values, dy.values, want_bias);
}

}  // namespace halftone::ops
