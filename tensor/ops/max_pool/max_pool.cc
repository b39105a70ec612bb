#include "tensor/ops/max_pool/max_pool.h"

#include "tensor/ops/max_pool/max_pool_implementations.h"
#include "tensor/ops/max_pool/max_pool_kernels.h"

namespace halftone::ops {
namespace {

MaxPoolProblem Problem(DType dtype, const Shape& x, const MaxPoolOptions& options) {
  HALFTONE_CHECK(IsFloat(dtype) && x.rank() == 4);
  HALFTONE_CHECK(options.window >= 1 && options.window <= 16 && options.stride >= 1);
  HALFTONE_CHECK(options.padding >= 0 && options.padding <= options.window / 2);
  const auto outputs = [&](int64_t size) {
    HALFTONE_CHECK(size + 2 * options.padding >= options.window);
    return (size + 2 * options.padding - options.window) / options.stride + 1;
  };
  return {.dtype = dtype,
          .n = x[0],
          .h = x[1],
          .w = x[2],
          .c = x[3],
          .out_h = outputs(x[1]),
          .out_w = outputs(x[2]),
          .window = options.window,
          .stride = options.stride,
          .padding = options.padding};
}

const MaxPoolImplementation& Choose(const MaxPoolProblem& problem) {
  const MaxPoolImplementation* row = MaxPoolImplementations().data();
  while (!row->supports(problem)) ++row;
  return *row;
}

}  // namespace

absl::Span<const MaxPoolImplementation> MaxPoolImplementations() {
  static const MaxPoolImplementation kRows[] = {kSimdDisjointMaxPool, kSimdMaxPool, kReferenceMaxPool};
  return kRows;
}

MaxPoolResult MaxPoolForward(const Tensor& x, const MaxPoolOptions& options) {
  const MaxPoolProblem problem = Problem(x.dtype(), x.shape(), options);
  const Shape shape = {problem.n, problem.out_h, problem.out_w, problem.c};
  MaxPoolResult result = {.y = Tensor::Empty(x.device(), x.dtype(), shape),
                          .index = Tensor::Empty(x.device(), DType::kU8, shape)};
  if (const auto* kernels = x.device().Kernels<MaxPoolKernels>()) {
    kernels->forward(problem, x, result.y, result.index);
    return result;
  }
  Choose(problem).forward(problem, x.raw(), result.y.raw(), result.index.data<uint8_t>());
  return result;
}

Tensor MaxPoolBackward(const Tensor& dy, const Tensor& index, const Shape& x_shape,
                       const MaxPoolOptions& options) {
  const MaxPoolProblem problem = Problem(dy.dtype(), x_shape, options);
  HALFTONE_CHECK((dy.shape() == Shape{problem.n, problem.out_h, problem.out_w, problem.c}));
  HALFTONE_CHECK(index.dtype() == DType::kU8 && index.shape() == dy.shape());
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), x_shape);
  if (const auto* kernels = dy.device().Kernels<MaxPoolKernels>()) {
    kernels->backward(problem, dy, index, dx);
    return dx;
  }
  Choose(problem).backward(problem, dy.raw(), index.data<uint8_t>(), dx.raw());
  return dx;
}

}  // namespace halftone::ops
