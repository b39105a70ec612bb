#include "tensor/ops/conv2d/conv2d.h"

#include "base/check.h"
#include "tensor/ops/conv2d/conv2d_kernels.h"
#include "tensor/ops/conv2d/implementations.h"
#include "tensor/ops/conv2d/problem.h"

namespace halftone::ops {
namespace {

const Conv2dImplementation& Choose(const Conv2dProblem& problem) {
  for (const Conv2dImplementation& implementation : Conv2dImplementations()) {
    if (implementation.supports(problem)) return implementation;
  }
  HALFTONE_CHECK(false);
  __builtin_unreachable();
}

// What an accelerator has of this op; null where the host computes.
const Conv2dKernels* KernelsFor(const Conv2dProblem& problem, Device& device) {
  return problem.Empty() ? nullptr : device.Kernels<Conv2dKernels>();
}

}  // namespace

absl::Span<const Conv2dImplementation> Conv2dImplementations() {
  static const Conv2dImplementation kTable[] = {kConv2dOneDnn, kConv2dWidened, kConv2dReference};
  return kTable;
}

Conv2dProblem Conv2dProblem::Of(DType dtype, const Shape& x, const Shape& w, const Conv2dOptions& options) {
  HALFTONE_CHECK(IsFloat(dtype));
  HALFTONE_CHECK(x.rank() == 4 && w.rank() == 4);
  HALFTONE_CHECK(options.stride >= 1 && options.padding >= 0 && options.groups >= 1);
  Conv2dProblem p;
  p.dtype = dtype;
  p.n = x[0];
  p.h = x[1];
  p.w = x[2];
  p.c = x[3];
  p.o = w[0];
  p.kh = w[2];
  p.kw = w[3];
  p.stride = options.stride;
  p.padding = options.padding;
  p.groups = options.groups;
  HALFTONE_CHECK(p.kh >= 1 && p.kw >= 1 && p.h + 2 * p.padding >= p.kh && p.w + 2 * p.padding >= p.kw);
  HALFTONE_CHECK(p.c % p.groups == 0 && p.o % p.groups == 0 && w[1] == p.c / p.groups);
  p.out_h = (p.h + 2 * p.padding - p.kh) / p.stride + 1;
  p.out_w = (p.w + 2 * p.padding - p.kw) / p.stride + 1;
  return p;
}

Shape Conv2dOutputShape(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  return Conv2dProblem::Of(DType::kF32, x, w, options).y_shape();
}

Tensor Conv2dForward(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  const Conv2dProblem problem = Conv2dProblem::Of(x.dtype(), x.shape(), w.shape(), options);
  HALFTONE_CHECK(w.dtype() == x.dtype());
  if (bias.defined()) {
    HALFTONE_CHECK(bias.shape() == Shape({problem.o}));
    HALFTONE_CHECK(bias.dtype() == x.dtype() || bias.dtype() == DType::kF32);
  }
  Tensor y = Tensor::Empty(x.device(), x.dtype(), problem.y_shape());
  if (const auto* kernels = KernelsFor(problem, x.device())) {
    kernels->forward(problem, x, w, bias, y);
  } else {
    Choose(problem).forward(problem, x, w, bias, &y);
  }
  return y;
}

Tensor Conv2dBackwardData(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                          const Conv2dOptions& options) {
  const Conv2dProblem problem = Conv2dProblem::Of(dy.dtype(), x_shape, w.shape(), options);
  HALFTONE_CHECK(w.dtype() == dy.dtype() && dy.shape() == problem.y_shape());
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), x_shape);
  if (const auto* kernels = KernelsFor(problem, dy.device())) {
    kernels->backward_data(problem, dy, w, dx);
  } else {
    Choose(problem).backward_data(problem, dy, w, &dx);
  }
  return dx;
}

WeightGradients Conv2dBackwardWeights(const Tensor& x, const Tensor& dy, const Shape& w_shape, bool want_bias,
                                      const Conv2dOptions& options) {
  const Conv2dProblem problem = Conv2dProblem::Of(x.dtype(), x.shape(), w_shape, options);
  HALFTONE_CHECK(dy.dtype() == x.dtype() && dy.shape() == problem.y_shape());
  const DType master = x.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  WeightGradients grads;
  grads.dw = Tensor::Empty(x.device(), master, w_shape);
  if (want_bias) grads.db = Tensor::Empty(x.device(), master, {problem.o});
  if (const auto* kernels = KernelsFor(problem, x.device())) {
    kernels->backward_weights(problem, x, dy, grads);
  } else {
    Choose(problem).backward_weights(problem, x, dy, &grads);
  }
  return grads;
}

}  // namespace halftone::ops
