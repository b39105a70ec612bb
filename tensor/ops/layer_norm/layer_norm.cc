#include "tensor/ops/layer_norm/layer_norm.h"

#include "tensor/ops/layer_norm/layer_norm_implementations.h"

namespace halftone::ops {
namespace {

DType StatisticsDType(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

LayerNormProblem Problem(const Tensor& x) {
  HALFTONE_CHECK(IsFloat(x.dtype()) && x.shape().rank() >= 1 && x.shape()[-1] > 0);
  const size_t n = x.shape()[-1];
  return {.dtype = x.dtype(), .rows = static_cast<size_t>(x.elements()) / n, .n = n};
}

const LayerNormImplementation& Choose(DType dtype) {
  const LayerNormImplementation* row = LayerNormImplementations().data();
  while (!row->supports(dtype)) ++row;
  return *row;
}

// The elements of `t`, which must be as many and as precise as the statistics of `problem` ask for.
const void* Statistics(const LayerNormProblem& problem, const Tensor& t, size_t elements) {
  HALFTONE_CHECK(t.dtype() == StatisticsDType(problem.dtype));
  HALFTONE_CHECK(static_cast<size_t>(t.elements()) == elements);
  return t.raw();
}

// `arrays` has what is known of the input, and gets all the rest.
LayerNormGradients Backward(const LayerNormProblem& problem, const Tensor& gamma, const Tensor& inv_std,
                            const Tensor& dy, LayerNormBackwardArrays arrays) {
  const DType statistics = StatisticsDType(problem.dtype);
  LayerNormGradients gradients = {.dx = Tensor::Empty(dy.device(), dy.dtype(), dy.shape()),
                                  .dgamma = Tensor::Zeros(dy.device(), statistics, gamma.shape()),
                                  .dbeta = Tensor::Zeros(dy.device(), statistics, gamma.shape())};
  arrays.gamma = Statistics(problem, gamma, problem.n);
  arrays.inv_std = Statistics(problem, inv_std, problem.rows);
  arrays.dy = dy.raw();
  arrays.dx = gradients.dx.raw();
  arrays.dgamma = gradients.dgamma.raw();
  arrays.dbeta = gradients.dbeta.raw();
  if (problem.rows > 0) Choose(problem.dtype).backward(problem, arrays);
  return gradients;
}

}  // namespace

absl::Span<const LayerNormImplementation> LayerNormImplementations() {
  static const LayerNormImplementation kRows[] = {kSimdLayerNorm, kReferenceLayerNorm};
  return kRows;
}

LayerNormResult LayerNormForward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 const LayerNormOptions& options) {
  LayerNormProblem problem = Problem(x);
  const auto rows = static_cast<int64_t>(problem.rows);
  const DType statistics = StatisticsDType(x.dtype());
  LayerNormResult result = {.y = Tensor::Empty(x.device(), x.dtype(), x.shape()),
                            .mean = Tensor::Empty(x.device(), statistics, {rows, 2}),
                            .inv_std = Tensor::Empty(x.device(), statistics, {rows}),
                            .normalised = {}};
  if (options.keep.has_value()) {
    HALFTONE_CHECK(IsFloat(*options.keep) && *options.keep != DType::kF64);
    problem.keep = options.keep;
    result.normalised = Tensor::Empty(x.device(), *options.keep, x.shape());
  }
  const LayerNormForwardArrays arrays = {.x = x.raw(),
                                         .gamma = Statistics(problem, gamma, problem.n),
                                         .beta = Statistics(problem, beta, problem.n),
                                         .y = result.y.raw(),
                                         .mean = result.mean.raw(),
                                         .inv_std = result.inv_std.raw(),
                                         .normalised = result.normalised.raw()};
  if (rows > 0) Choose(x.dtype()).forward(problem, options.eps, arrays);
  return result;
}

LayerNormGradients LayerNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& dy) {
  HALFTONE_CHECK(dy.dtype() == x.dtype() && dy.shape() == x.shape());
  const LayerNormProblem problem = Problem(dy);
  return Backward(problem, gamma, inv_std, dy,
                  {.x = x.raw(), .mean = Statistics(problem, mean, 2 * problem.rows)});
}

LayerNormGradients LayerNormBackward(const Tensor& normalised, const Tensor& gamma, const Tensor& inv_std,
                                     const Tensor& dy) {
  HALFTONE_CHECK(dy.shape() == normalised.shape());
  LayerNormProblem problem = Problem(dy);
  problem.keep = normalised.dtype();
  return Backward(problem, gamma, inv_std, dy, {.normalised = normalised.raw()});
}

}  // namespace halftone::ops
