// The slow, obvious twin, and the only one for f64: sums in double, the rest in the arithmetic of the dtype.
#include <type_traits>

#include "tensor/ops/batch_norm/batch_norm_implementations.h"

namespace halftone::ops {
namespace {

template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
Arithmetic<T> Normalised(T x, const BatchNormAffine& affine, size_t c) {
  using A = Arithmetic<T>;
  return (A(x) - A(affine.mean[c])) * A(affine.scale[c]) + A(affine.shift[c]);
}

template <typename A>
A Activated(BatchNormActivation activation, A value) {
  if (activation == BatchNormActivation::kNone) return value;
  if (value <= 0) return 0;
  return activation == BatchNormActivation::kRelu6 && value >= 6 ? 6 : value;
}

// Whether the activation lets the gradient of its input through.
template <typename A>
bool Passes(BatchNormActivation activation, A value) {
  if (activation == BatchNormActivation::kNone) return true;
  return !(value <= 0) && !(activation == BatchNormActivation::kRelu6 && value >= 6);
}

// dy where it passes.
template <typename T>
Arithmetic<T> Passed(const BatchNormProblem& problem, const BatchNormAffine& affine, T x, T dy, size_t c) {
  return Passes(problem.activation, Normalised(x, affine, c)) ? Arithmetic<T>(dy) : Arithmetic<T>(0);
}

BatchNormMoments Moments(const BatchNormProblem& problem, const void* x) {
  const size_t rows = problem.rows, channels = problem.channels;
  BatchNormMoments moments = {.mean = std::vector<double>(channels),
                              .variance = std::vector<double>(channels)};
  VisitFloat(problem.dtype, [&](auto type) {
    const auto* px = static_cast<const decltype(type)*>(x);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t r = 0; r < rows; ++r) moments.mean[c] += px[r * channels + c];
      moments.mean[c] /= rows;
      for (size_t r = 0; r < rows; ++r) {
        const double d = px[r * channels + c] - moments.mean[c];
        moments.variance[c] += d * d;
      }
      moments.variance[c] /= rows;
    }
  });
  return moments;
}

void Normalise(const BatchNormProblem& problem, const void* x, const void* residual,
               const BatchNormAffine& affine, void* y) {
  VisitFloat(problem.dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < problem.rows * problem.channels; ++i) {
      auto value = Normalised(static_cast<const T*>(x)[i], affine, i % problem.channels);
      if (residual != nullptr) value += static_cast<const T*>(residual)[i];
      static_cast<T*>(y)[i] = T(Activated(problem.activation, value));
    }
  });
}

BatchNormSums Sums(const BatchNormProblem& problem, const void* x, const void* dy,
                   const BatchNormAffine& affine) {
  BatchNormSums sums = {.dy = std::vector<double>(problem.channels),
                        .dy_x = std::vector<double>(problem.channels)};
  VisitFloat(problem.dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < problem.rows * problem.channels; ++i) {
      const size_t c = i % problem.channels;
      const T xi = static_cast<const T*>(x)[i];
      const double g = Passed(problem, affine, xi, static_cast<const T*>(dy)[i], c);
      sums.dy[c] += g;
      sums.dy_x[c] += g * (xi - affine.mean[c]);
    }
  });
  return sums;
}

BatchNormSums ResidualSums(const BatchNormProblem& problem, const void* x, const void* y, const void* dy,
                           const BatchNormAffine& affine, void* passed) {
  VisitFloat(problem.dtype, [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    for (size_t i = 0; i < problem.rows * problem.channels; ++i) {
      const bool passes = Passes(problem.activation, A(static_cast<const T*>(y)[i]));
      static_cast<T*>(passed)[i] = passes ? static_cast<const T*>(dy)[i] : T(0.0);
    }
  });
  BatchNormProblem without = problem;
  without.activation = BatchNormActivation::kNone;
  return Sums(without, x, passed, affine);
}

void InputGradient(const BatchNormProblem& problem, const void* x, const void* dy,
                   const BatchNormAffine& affine, const BatchNormInputGradient& coefficients, void* dx) {
  VisitFloat(problem.dtype, [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    for (size_t i = 0; i < problem.rows * problem.channels; ++i) {
      const size_t c = i % problem.channels;
      const T xi = static_cast<const T*>(x)[i];
      const A g = Passed(problem, affine, xi, static_cast<const T*>(dy)[i], c);
      static_cast<T*>(dx)[i] = T((g - A(coefficients.mean_dy[c])) * A(affine.scale[c]) -
                                 (A(xi) - A(affine.mean[c])) * A(coefficients.slope[c]));
    }
  });
}

}  // namespace

const BatchNormImplementation kReferenceBatchNorm = {.name = "reference",
                                                     .supports = [](DType) { return true; },
                                                     .moments = Moments,
                                                     .normalise = Normalise,
                                                     .sums = Sums,
                                                     .residual_sums = ResidualSums,
                                                     .input_gradient = InputGradient};

}  // namespace halftone::ops
