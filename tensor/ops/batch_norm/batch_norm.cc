#include "tensor/ops/batch_norm/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <vector>

#include "tensor/ops/batch_norm/batch_norm_implementations.h"
#include "tensor/ops/batch_norm/batch_norm_kernels.h"
#include "tensor/ops/elementwise/elementwise.h"

namespace halftone::ops {
namespace {

DType StatisticsDType(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

BatchNormProblem Problem(const Tensor& x, const BatchNormOptions& options) {
  HALFTONE_CHECK(IsFloat(x.dtype()) && x.shape().rank() >= 1 && x.elements() > 0);
  const size_t channels = x.shape()[-1];
  return {.dtype = x.dtype(),
          .rows = static_cast<size_t>(x.elements()) / channels,
          .channels = channels,
          .activation = options.activation};
}

const BatchNormImplementation& Choose(DType dtype) {
  const BatchNormImplementation* row = BatchNormImplementations().data();
  while (!row->supports(dtype)) ++row;
  return *row;
}

void CheckStatistics(const BatchNormProblem& problem, const Tensor& t) {
  HALFTONE_CHECK(t.dtype() == StatisticsDType(problem.dtype));
  HALFTONE_CHECK(static_cast<size_t>(t.elements()) == problem.channels);
}

std::vector<double> Values(const BatchNormProblem& problem, const Tensor& t) {
  CheckStatistics(problem, t);
  if (t.dtype() == DType::kF64) return {t.data<double>(), t.data<double>() + problem.channels};
  return {t.data<float>(), t.data<float>() + problem.channels};
}

void Store(const std::vector<double>& values, Tensor& to) {
  if (to.dtype() == DType::kF64) {
    std::copy(values.begin(), values.end(), to.data<double>());
  } else {
    for (size_t c = 0; c < values.size(); ++c) to.data<float>()[c] = static_cast<float>(values[c]);
  }
}

Tensor FromValues(const Tensor& x, const std::vector<double>& values) {
  Tensor t = Tensor::Empty(x.device(), StatisticsDType(x.dtype()), {static_cast<int64_t>(values.size())});
  Store(values, t);
  return t;
}

// From what the caller sees, already rounded, so that forward and backward agree on the sign of every
// element.
BatchNormAffine Affine(const BatchNormProblem& problem, const Tensor& gamma, const Tensor& beta,
                       const Tensor& mean, const Tensor& inv_std) {
  BatchNormAffine affine = {
      .mean = Values(problem, mean), .scale = Values(problem, gamma), .shift = Values(problem, beta)};
  const std::vector<double> inverse = Values(problem, inv_std);
  for (size_t c = 0; c < problem.channels; ++c) affine.scale[c] *= inverse[c];
  return affine;
}

Tensor EmptyStatistics(const Tensor& x) {
  return Tensor::Empty(x.device(), StatisticsDType(x.dtype()), {x.shape()[-1]});
}

void CheckResidual(const Tensor& residual, const Tensor& x) {
  if (!residual.defined()) return;
  HALFTONE_CHECK(residual.dtype() == x.dtype() && residual.shape() == x.shape());
}

// The residual's elements; null for none.
const void* ResidualOf(const Tensor& residual, const Tensor& x) {
  CheckResidual(residual, x);
  return residual.raw();
}

// What an accelerator has of this op; null where the host computes.
const BatchNormKernels* KernelsFor(const BatchNormProblem& problem, const Tensor& x, const Tensor& residual,
                                   std::initializer_list<const Tensor*> statistics) {
  const auto* kernels = x.device().Kernels<BatchNormKernels>();
  if (kernels == nullptr) return nullptr;
  CheckResidual(residual, x);
  for (const Tensor* t : statistics) CheckStatistics(problem, *t);
  return kernels;
}

}  // namespace

absl::Span<const BatchNormImplementation> BatchNormImplementations() {
  static const BatchNormImplementation kRows[] = {kSimdBatchNorm, kReferenceBatchNorm};
  return kRows;
}

BatchNormResult BatchNormForward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 Tensor& running_mean, Tensor& running_var, const BatchNormOptions& options,
                                 const Tensor& residual) {
  const BatchNormProblem problem = Problem(x, options);
  HALFTONE_CHECK(problem.rows >= 2);
  if (const auto* kernels = KernelsFor(problem, x, residual, {&gamma, &beta, &running_mean, &running_var})) {
    BatchNormResult result = {.y = Tensor::Empty(x.device(), x.dtype(), x.shape()),
                              .mean = EmptyStatistics(x),
                              .inv_std = EmptyStatistics(x)};
    kernels->forward(x, gamma, beta, running_mean, running_var, options, residual, result);
    return result;
  }
  const BatchNormImplementation& implementation = Choose(x.dtype());
  BatchNormMoments moments = implementation.moments(problem, x.raw());

  std::vector<double> new_mean = Values(problem, running_mean), new_var = Values(problem, running_var);
  std::vector<double> inv_std(problem.channels);
  const double unbiased = static_cast<double>(problem.rows) / static_cast<double>(problem.rows - 1);
  for (size_t c = 0; c < problem.channels; ++c) {
    inv_std[c] = 1 / std::sqrt(moments.variance[c] + options.eps);
    new_mean[c] += options.momentum * (moments.mean[c] - new_mean[c]);
    new_var[c] += options.momentum * (moments.variance[c] * unbiased - new_var[c]);
  }
  Store(new_mean, running_mean);
  Store(new_var, running_var);

  BatchNormResult result = {.y = Tensor::Empty(x.device(), x.dtype(), x.shape()),
                            .mean = FromValues(x, moments.mean),
                            .inv_std = FromValues(x, inv_std)};
  implementation.normalise(problem, x.raw(), ResidualOf(residual, x),
                           Affine(problem, gamma, beta, result.mean, result.inv_std), result.y.raw());
  return result;
}

void KeepRunningStatistics(const Tensor& moved_mean, const Tensor& moved_var, Tensor& running_mean,
                           Tensor& running_var, Tensor& batches) {
  HALFTONE_CHECK(batches.dtype() == DType::kI64 && batches.elements() == 1);
  HALFTONE_CHECK(moved_mean.dtype() == moved_var.dtype() && moved_mean.shape() == moved_var.shape());
  HALFTONE_CHECK(running_mean.dtype() == moved_mean.dtype() && running_mean.shape() == moved_mean.shape());
  HALFTONE_CHECK(running_var.dtype() == moved_var.dtype() && running_var.shape() == moved_var.shape());
  if (const auto* kernels = moved_mean.device().Kernels<BatchNormKernels>()) {
    return kernels->keep_running(moved_mean, moved_var, running_mean, running_var, batches);
  }
  if (!AllFinite(moved_mean) || !AllFinite(moved_var)) return;
  running_mean.CopyFrom(moved_mean);
  running_var.CopyFrom(moved_var);
  ++*batches.data<int64_t>();
}

Tensor BatchNormInference(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                          const Tensor& running_mean, const Tensor& running_var,
                          const BatchNormOptions& options, const Tensor& residual) {
  Tensor y = Tensor::Empty(x.device(), x.dtype(), x.shape());
  if (x.elements() == 0) return y;
  const BatchNormProblem problem = Problem(x, options);
  if (const auto* kernels = KernelsFor(problem, x, residual, {&gamma, &beta, &running_mean, &running_var})) {
    kernels->inference(x, gamma, beta, running_mean, running_var, options, residual, y);
    return y;
  }
  std::vector<double> inv_std = Values(problem, running_var);
  for (double& v : inv_std) v = 1 / std::sqrt(v + options.eps);
  const BatchNormAffine affine = Affine(problem, gamma, beta, running_mean, FromValues(x, inv_std));
  Choose(x.dtype()).normalise(problem, x.raw(), ResidualOf(residual, x), affine, y.raw());
  return y;
}

BatchNormGradients BatchNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                     const Tensor& mean, const Tensor& inv_std, const Tensor& dy,
                                     const BatchNormOptions& options, const Tensor& residual_y) {
  HALFTONE_CHECK(dy.dtype() == x.dtype() && dy.shape() == x.shape());
  BatchNormProblem problem = Problem(x, options);
  const bool by_y = residual_y.defined() && options.activation != BatchNormActivation::kNone;
  if (const auto* kernels = KernelsFor(problem, x, residual_y, {&gamma, &beta, &mean, &inv_std})) {
    const auto like_x = [&] { return Tensor::Empty(x.device(), x.dtype(), x.shape()); };
    BatchNormGradients gradients = {.dx = like_x(),
                                    .dgamma = EmptyStatistics(x),
                                    .dbeta = EmptyStatistics(x),
                                    .dresidual = by_y ? like_x() : Tensor()};
    kernels->backward(x, gamma, beta, mean, inv_std, dy, options.activation, by_y ? residual_y : Tensor(),
                      gradients);
    if (residual_y.defined() && !by_y) gradients.dresidual = dy;
    return gradients;
  }
  const BatchNormImplementation& implementation = Choose(x.dtype());
  const BatchNormAffine affine = Affine(problem, gamma, beta, mean, inv_std);
  Tensor passed = dy;
  BatchNormSums sums;
  if (by_y) {
    passed = Tensor::Empty(x.device(), x.dtype(), x.shape());
    sums = implementation.residual_sums(problem, x.raw(), ResidualOf(residual_y, x), dy.raw(), affine,
                                        passed.raw());
    problem.activation = BatchNormActivation::kNone;  // it is dealt with
  } else {
    sums = implementation.sums(problem, x.raw(), dy.raw(), affine);
  }

  // With z = (x - mean) * inv_std:  dx = gamma * inv_std * (dy - mean(dy) - z * mean(dy * z)).
  const double rows = static_cast<double>(problem.rows);
  const std::vector<double> inverse = Values(problem, inv_std);
  BatchNormInputGradient coefficients = {.mean_dy = sums.dy, .slope = affine.scale};
  std::vector<double> dgamma(problem.channels);
  for (size_t c = 0; c < problem.channels; ++c) {
    coefficients.mean_dy[c] /= rows;
    coefficients.slope[c] *= inverse[c] * inverse[c] * sums.dy_x[c] / rows;
    dgamma[c] = sums.dy_x[c] * inverse[c];
  }
  BatchNormGradients gradients = {.dx = Tensor::Empty(x.device(), x.dtype(), x.shape()),
                                  .dgamma = FromValues(x, dgamma),
                                  .dbeta = FromValues(x, sums.dy),
                                  .dresidual = residual_y.defined() ? passed : Tensor()};
  implementation.input_gradient(problem, x.raw(), passed.raw(), affine, coefficients, gradients.dx.raw());
  return gradients;
}

}  // namespace halftone::ops
