// Gradients by central differences, in f64, to compare with computed ones:
//
//   const auto loss = [&] { return WeightedSum(ActivationForward(relu, x), weights); };
//   EXPECT_LT(Distance(ActivationBackward(relu, y, weights), NumericalGradient(loss, x)), 1e-8);
#ifndef HALFTONE_TESTING_FINITE_DIFFERENCE_H_
#define HALFTONE_TESTING_FINITE_DIFFERENCE_H_

#include <algorithm>
#include <cmath>

#include "absl/functional/function_ref.h"
#include "base/check.h"
#include "tensor/tensor.h"

namespace halftone {

// sum of y * weights: a scalar whose gradient for y is `weights`. Both f64.
inline double WeightedSum(const Tensor& y, const Tensor& weights) {
  HALFTONE_CHECK(y.shape() == weights.shape());
  double sum = 0;
  for (int64_t i = 0; i < y.elements(); ++i) sum += y.data<double>()[i] * weights.data<double>()[i];
  return sum;
}

// The gradient of f for x (f64), whose elements are moved up and down in place, one at a time, and put back.
// f reads x by a handle of its own. The error is some step^2 f''' / 6 + 2^-52 |f| / step.
inline Tensor NumericalGradient(absl::FunctionRef<double()> f, Tensor x, double step = 1e-5) {
  Tensor gradient = Tensor::Empty(x.device(), DType::kF64, x.shape());
  for (int64_t i = 0; i < x.elements(); ++i) {
    double& xi = x.data<double>()[i];
    const double before = xi, above = before + step, below = before - step;
    xi = above;
    const double f_above = f();
    xi = below;
    const double f_below = f();
    xi = before;
    gradient.data<double>()[i] = (f_above - f_below) / (above - below);
  }
  return gradient;
}

// max |a - b| / max(1, max |b|), of f64 tensors of one shape.
inline double Distance(const Tensor& a, const Tensor& b) {
  HALFTONE_CHECK(a.shape() == b.shape());
  double difference = 0, magnitude = 1;
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double d = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    if (!(d <= difference)) difference = d;  // a NaN stays
    magnitude = std::max(magnitude, std::abs(b.data<double>()[i]));
  }
  return difference / magnitude;
}

}  // namespace halftone

#endif  // HALFTONE_TESTING_FINITE_DIFFERENCE_H_
