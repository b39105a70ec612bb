#include "tensor/ops/layer_norm/layer_norm.h"

#include "tensor/ops/layer_norm/layer_norm_implementations.h"
#include "tensor/ops/layer_norm/layer_norm_kernels.h"

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

// As many and as precise as the statistics of `problem` ask for.
void CheckStatistics(const LayerNormProblem& problem, const Tensor& t, size_t elements) {
  HALFTONE_CHECK(t.dtype() == StatisticsDType(problem.dtype));
  HALFTONE_CHECK(static_cast<size_t>(t.elements()) == elements);
}

// From x and mean, or from normalised: the others are undefined.
LayerNormGradients Backward(const LayerNormProblem& problem, const Tensor& x, const Tensor& mean,
                            const Tensor& normalised, const Tensor& gamma, const Tensor& inv_std,
                            const Tensor& dy) {
  CheckStatistics(problem, gamma, problem.n);
  CheckStatistics(problem, inv_std, problem.rows);
  const DType statistics = StatisticsDType(problem.dtype);
  LayerNormGradients gradients = {.dx = Tensor::Empty(dy.device(), dy.dtype(), dy.shape()),
                                  .dgamma = Tensor::Zeros(dy.device(), statistics, gamma.shape()),
                                  .dbeta = Tensor::Zeros(dy.device(), statistics, gamma.shape())};
  if (problem.rows == 0) return gradients;
  if (const auto* kernels = dy.device().Kernels<LayerNormKernels>()) {
    kernels->backward(x, mean, normalised, gamma, inv_std, dy, gradients);
    return gradients;
  }
  Choose(problem.dtype)
      .backward(problem, {.x = x.raw(),
                          .gamma = gamma.raw(),
                          .mean = mean.raw(),
                          .inv_std = inv_std.raw(),
                          .dy = dy.raw(),
                          .dx = gradients.dx.raw(),
                          .dgamma = gradients.dgamma.raw(),
                          .dbeta = gradients.dbeta.raw(),
                          .normalised = normalised.raw()});
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
  CheckStatistics(problem, gamma, problem.n);
  CheckStatistics(problem, beta, problem.n);
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
  if (rows == 0) return result;
  if (const auto* kernels = x.device().Kernels<LayerNormKernels>()) {
    kernels->forward(x, gamma, beta, options.eps, result);
    return result;
  }
  const LayerNormForwardArrays arrays = {.x = x.raw(),
                                         .gamma = gamma.raw(),
                                         .beta = beta.raw(),
                                         .y = result.y.raw(),
                                         .mean = result.mean.raw(),
                                         .inv_std = result.inv_std.raw(),
                                         .normalised = result.normalised.raw()};
  Choose(x.dtype()).forward(problem, options.eps, arrays);
  return result;
}

LayerNormGradients LayerNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& dy) {
  HALFTONE_CHECK(dy.dtype() == x.dtype() && dy.shape() == x.shape());
  const LayerNormProblem problem = Problem(dy);
  CheckStatistics(problem, mean, 2 * problem.rows);
  return Backward(problem, x, mean, Tensor(), gamma, inv_std, dy);
}

LayerNormGradients LayerNormBackward(const Tensor& normalised, const Tensor& gamma, const Tensor& inv_std,
                                     const Tensor& dy) {
  HALFTONE_CHECK(dy.shape() == normalised.shape());
  LayerNormProblem problem = Problem(dy);
  problem.keep = normalised.dtype();
  return Backward(problem, Tensor(), Tensor(), normalised, gamma, inv_std, dy);
}

}  // namespace halftone::ops
