#include "tensor/ops/linear/linear.h"

#include <vector>

#include "base/check.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/linear/implementations.h"
#include "tensor/ops/linear/linear_kernels.h"

namespace halftone::ops {
namespace {

const LinearImplementation& Choose(const LinearProblem& problem) {
  for (const LinearImplementation& implementation : LinearImplementations()) {
    if (implementation.supports(problem)) return implementation;
  }
  HALFTONE_CHECK(false);
  __builtin_unreachable();
}

// What an accelerator has of this op; null where the host computes.
const LinearKernels* KernelsFor(const LinearProblem& problem, Device& device) {
  return problem.Empty() ? nullptr : device.Kernels<LinearKernels>();
}

// Everything but the last dimension.
absl::Span<const int64_t> Leading(const Tensor& t) {
  HALFTONE_CHECK(t.shape().rank() >= 1);
  return t.shape().dims().subspan(0, t.shape().rank() - 1);
}

int64_t Rows(const Tensor& t) {
  int64_t rows = 1;
  for (const int64_t dim : Leading(t)) rows *= dim;
  return rows;
}

}  // namespace

Shape WithLast(const Tensor& t, int64_t last) {
  std::vector<int64_t> dims(Leading(t).begin(), Leading(t).end());
  dims.push_back(last);
  return Shape(dims);
}

absl::Span<const LinearImplementation> LinearImplementations() {
  static const LinearImplementation kTable[] = {kLinearPanels, kLinearOneDnn, kLinearWidened,
                                                kLinearReference};
  return kTable;
}

Tensor LinearForward(const Tensor& x, const Tensor& w, const Tensor& bias) {
  return LinearForward(x, w, bias, x.dtype());
}

Tensor LinearForward(const Tensor& x, const Tensor& w, const Tensor& bias, DType y_dtype) {
  const auto wide = [&w](DType dtype) { return dtype == DType::kF32 && SizeOf(w.dtype()) == 2; };
  HALFTONE_CHECK(IsFloat(w.dtype()) && w.shape().rank() == 2);
  HALFTONE_CHECK((x.dtype() == w.dtype() || wide(x.dtype())) && (y_dtype == w.dtype() || wide(y_dtype)));
  const LinearProblem problem = {.dtype = w.dtype(),
                                 .m = Rows(x),
                                 .k = w.shape()[1],
                                 .n = w.shape()[0],
                                 .wide_x = wide(x.dtype()),
                                 .wide_y = wide(y_dtype)};
  HALFTONE_CHECK(x.shape()[-1] == problem.k);
  if (bias.defined()) {
    HALFTONE_CHECK(bias.shape() == Shape({problem.n}));
    HALFTONE_CHECK(bias.dtype() == w.dtype() || bias.dtype() == DType::kF32);
  }
  const auto* kernels = KernelsFor(problem, x.device());
  if (kernels != nullptr && (problem.wide_x || problem.wide_y)) {
    return Cast(LinearForward(Cast(x, w.dtype()), w, bias), y_dtype);
  }
  Tensor y = Tensor::Empty(x.device(), y_dtype, WithLast(x, problem.n));
  if (kernels != nullptr) {
    kernels->forward(problem, x, w, bias, y);
  } else {
    Choose(problem).forward(problem, x, w, bias, &y);
  }
  return y;
}

Tensor LinearBackwardData(const Tensor& dy, const Tensor& w) {
  HALFTONE_CHECK(IsFloat(dy.dtype()) && w.dtype() == dy.dtype());
  HALFTONE_CHECK(w.shape().rank() == 2);
  const LinearProblem problem = {.dtype = dy.dtype(), .m = Rows(dy), .k = w.shape()[1], .n = w.shape()[0]};
  HALFTONE_CHECK(dy.shape()[-1] == problem.n);
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), WithLast(dy, problem.k));
  if (const auto* kernels = KernelsFor(problem, dy.device())) {
    kernels->backward_data(problem, dy, w, dx);
  } else {
    Choose(problem).backward_data(problem, dy, w, &dx);
  }
  return dx;
}

WeightGradients LinearBackwardWeights(const Tensor& x, const Tensor& dy, bool want_bias) {
  HALFTONE_CHECK(IsFloat(x.dtype()) && dy.dtype() == x.dtype());
  HALFTONE_CHECK(Leading(x) == Leading(dy));
  const LinearProblem problem = {.dtype = x.dtype(), .m = Rows(x), .k = x.shape()[-1], .n = dy.shape()[-1]};
  const DType master = x.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  WeightGradients grads;
  grads.dw = Tensor::Empty(x.device(), master, {problem.n, problem.k});
  if (want_bias) grads.db = Tensor::Empty(x.device(), master, {problem.n});
  if (const auto* kernels = KernelsFor(problem, x.device())) {
    kernels->backward_weights(problem, x, dy, grads);
  } else {
    Choose(problem).backward_weights(problem, x, dy, &grads);
  }
  return grads;
}

}  // namespace halftone::ops
