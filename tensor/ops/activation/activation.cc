#include "tensor/ops/activation/activation.h"

#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "tensor/ops/activation/activation_device_kernels.h"
#include "tensor/ops/activation/activation_implementations.h"
#include "tensor/ops/activation/activation_kernels.h"

namespace halftone::ops {
namespace {

// factor * x, and 0 where the factor is 0, even for an x that is infinite: the limit of every use below.
double Times(double factor, double x) { return factor == 0 ? 0 : factor * x; }

double Sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
double Softplus(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }
// The normal distribution: P(X <= x), and its density.
double NormalCdf(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }
double NormalDensity(double x) { return M_2_SQRTPI * M_SQRT1_2 / 2 * std::exp(-x * x / 2); }

double SwishSlope(double x, double) { return Sigmoid(x) + Times(Sigmoid(x) * Sigmoid(-x), x); }
double GeluSlope(double x, double) { return NormalCdf(x) + Times(NormalDensity(x), x); }
double MishSlope(double x, double) {
  const double t = std::tanh(Softplus(x));
  return t + Times((1 - t * t) * Sigmoid(x), x);
}

constexpr Activation kActivations[] = {
    {.name = "relu",
     .formula = "max(x, 0)",
     .kink = "f'(0) = 0",
     .saves_output = true,
     .f = [](double x, double) { return x <= 0 ? 0 : x; },  // a NaN stays
     .df = [](double y, double) { return y <= 0 ? 0.0 : 1.0; }},
    {.name = "sigmoid",
     .formula = "1 / (1 + exp(-x))",
     .saves_output = true,
     .f = [](double x, double) { return Sigmoid(x); },
     .df = [](double y, double) { return y * (1 - y); },
     .error = {2.5, 0.51, 0.51},
     .gradient_error = {1, 0.51, 0.51}},
    {.name = "tanh",
     .formula = "tanh(x)",
     .saves_output = true,
     .f = [](double x, double) { return std::tanh(x); },
     .df = [](double y, double) { return 1 - y * y; },
     .error = {3, 0.51, 0.51},
     .gradient_error = {3, 0.6, 0.6}},
    {.name = "gelu",
     .formula = "x * (1 + erf(x / sqrt(2))) / 2",
     .f = [](double x, double) { return Times(NormalCdf(x), x); },
     .df = GeluSlope,
     .error = {7, 0.51, 0.51},
     .gradient_error = {1.5, 0.6, 0.6}},
    {.name = "leaky_relu",
     .formula = "x > 0 ? x : 0.01 x",
     .kink = "f'(0) = 0.01",
     .saves_output = true,
     .f = [](double x, double) { return x > 0 ? x : 0.01 * x; },
     .df = [](double y, double) { return y > 0 ? 1 : 0.01; },
     .error = {1, 0.51, 0.51},
     .gradient_error = {0.51, 0.51, 0.51}},
    {.name = "prelu",
     .formula = "x > 0 ? x : a x",
     .kink = "f'(0) = a",
     .learned = 0.25,
     .f = [](double x, double a) { return x > 0 ? x : a * x; },
     .df = [](double x, double a) { return x > 0 ? 1 : a; },
     .df_da = [](double x, double) { return x > 0 ? 0 : x; },
     .error = {1, 0.51, 0.51},
     .gradient_error = {0.51, 0.51, 0.51}},
    {.name = "swish",
     .formula = "x / (1 + exp(-x))",
     .f = [](double x, double) { return Times(Sigmoid(x), x); },
     .df = SwishSlope,
     .error = {3.5, 0.51, 0.51},
     .gradient_error = {1.5, 0.6, 0.6}},
    {.name = "softplus",
     .formula = "x > 20 ? x : log(1 + exp(x))",
     .saves_output = true,
     .f = [](double x, double) { return Softplus(x); },
     .df = [](double y, double) { return -std::expm1(-y); },
     .error = {3, 0.51, 0.51},
     .gradient_error = {1, 0.51, 0.51}},
    {.name = "relu6",
     .formula = "min(max(x, 0), 6)",
     .kink = "f'(0) = f'(6) = 0",
     .saves_output = true,
     .f = [](double x, double) { return x <= 0   ? 0
                                        : x >= 6 ? 6
                                                 : x; },
     .df = [](double y, double) { return y <= 0 || y >= 6 ? 0.0 : 1.0; }},
    {.name = "hardswish",
     .formula = "x * min(max(x + 3, 0), 6) / 6",
     .kink = "f'(-3) = 0, f'(3) = 1",
     .f = [](double x, double) { return x <= -3  ? 0
                                        : x >= 3 ? x
                                                 : x * (x + 3) / 6; },
     .df = [](double x, double) { return x <= -3  ? 0
                                         : x >= 3 ? 1
                                                  : x / 3 + 0.5; },
     .error = {2.5, 0.51, 0.51},
     .gradient_error = {1.5, 0.8, 0.8}},
    {.name = "elu",
     .formula = "x > 0 ? x : exp(x) - 1",
     .saves_output = true,
     .f = [](double x, double) { return x > 0 ? x : std::expm1(x); },
     .df = [](double y, double) { return y > 0 ? 1 : y + 1; },
     .error = {1.2, 0.51, 0.51},
     .gradient_error = {1, 0.51, 0.51}},
    {.name = "mish",
     .formula = "x * tanh(log(1 + exp(x)))",
     .f = [](double x, double) { return Times(std::tanh(Softplus(x)), x); },
     .df = MishSlope,
     .error = {4.5, 0.51, 0.51},
     .gradient_error = {2.5, 0.6, 0.6}},
};

void SimdForward(const Activation& activation, DType dtype, double a, const void* x, void* y, size_t n) {
  FindActivationKernels(activation.name)->forward(dtype, a, x, y, n);
}

void SimdBackward(const Activation& activation, DType dtype, double a, const void* saved, const void* dy,
                  void* dx, size_t n) {
  FindActivationKernels(activation.name)->backward(dtype, a, saved, dy, dx, n);
}

double SimdBackwardLearned(const Activation& activation, DType dtype, double a, const void* saved,
                           const void* dy, size_t n) {
  return FindActivationKernels(activation.name)->backward_learned(dtype, a, saved, dy, n);
}

void ReferenceForward(const Activation& activation, DType dtype, double a, const void* x, void* y, size_t n) {
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < n; ++i) static_cast<T*>(y)[i] = T(activation.f(static_cast<const T*>(x)[i], a));
  });
}

void ReferenceBackward(const Activation& activation, DType dtype, double a, const void* saved, const void* dy,
                       void* dx, size_t n) {
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < n; ++i) {
      const double slope = activation.df(static_cast<const T*>(saved)[i], a);
      static_cast<T*>(dx)[i] = T(Times(slope, static_cast<const T*>(dy)[i]));
    }
  });
}

double ReferenceBackwardLearned(const Activation& activation, DType dtype, double a, const void* saved,
                                const void* dy, size_t n) {
  return VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      const double slope = activation.df_da(static_cast<const T*>(saved)[i], a);
      sum += Times(slope, static_cast<const T*>(dy)[i]);
    }
    return sum;
  });
}

constexpr ActivationImplementation kImplementations[] = {
    {.name = "simd",
     .supports = [](const Activation& activation,
                    DType dtype) { return dtype != DType::kF64 && FindActivationKernels(activation.name); },
     .forward = SimdForward,
     .backward = SimdBackward,
     .backward_learned = SimdBackwardLearned},
    {.name = "reference",
     .supports = [](const Activation&, DType) { return true; },
     .forward = ReferenceForward,
     .backward = ReferenceBackward,
     .backward_learned = ReferenceBackwardLearned},
};

const ActivationImplementation& Choose(const Activation& activation, DType dtype) {
  HALFTONE_CHECK(IsFloat(dtype));
  const ActivationImplementation* row = kImplementations;
  while (!row->supports(activation, dtype)) ++row;
  return *row;
}

// Null: the host computes it.
const ActivationDeviceKernels* KernelsFor(const Activation& activation, const Device& device) {
  const auto* kernels = device.Kernels<ActivationDeviceKernels>();
  return kernels != nullptr && kernels->supports(activation) ? kernels : nullptr;
}

void CheckLearned(const Activation& activation, const Tensor& learned) {
  HALFTONE_CHECK(activation.learned.has_value() == learned.defined());
  HALFTONE_CHECK(!learned.defined() || learned.elements() == 1);
}

// The number that is learned; 0 where there is none.
double LearnedValue(const Tensor& learned) {
  if (!learned.defined()) return 0;
  return learned.dtype() == DType::kF64 ? learned.data<double>()[0] : learned.data<float>()[0];
}

constexpr size_t kGrain = 1 << 14;  // elements that are worth a thread

}  // namespace

absl::Span<const Activation> Activations() { return kActivations; }

absl::Span<const ActivationImplementation> ActivationImplementations() { return kImplementations; }

const Activation* FindActivation(absl::string_view name) {
  for (const Activation& activation : kActivations) {
    if (activation.name == name) return &activation;
  }
  return nullptr;
}

Tensor ActivationForward(const Activation& activation, const Tensor& x, const Tensor& learned) {
  const ActivationImplementation& implementation = Choose(activation, x.dtype());
  CheckLearned(activation, learned);
  Tensor y = Tensor::Empty(x.device(), x.dtype(), x.shape());
  if (const auto* kernels = KernelsFor(activation, x.device())) {
    kernels->forward(activation, x, learned, y);
    return y;
  }
  const double a = LearnedValue(learned);
  const size_t size = SizeOf(x.dtype());
  const char* from = static_cast<const char*>(x.raw());
  char* to = static_cast<char*>(y.raw());
  ParallelFor(x.elements(), kGrain, [&](size_t begin, size_t end) {
    const size_t at = begin * size;
    implementation.forward(activation, x.dtype(), a, from + at, to + at, end - begin);
  });
  return y;
}

Tensor ActivationBackward(const Activation& activation, const Tensor& saved, const Tensor& dy,
                          const Tensor& learned) {
  HALFTONE_CHECK(saved.dtype() == dy.dtype() && saved.shape() == dy.shape());
  const ActivationImplementation& implementation = Choose(activation, dy.dtype());
  CheckLearned(activation, learned);
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), dy.shape());
  if (const auto* kernels = KernelsFor(activation, dy.device())) {
    kernels->backward(activation, saved, dy, learned, dx);
    return dx;
  }
  const double a = LearnedValue(learned);
  const size_t size = SizeOf(dy.dtype());
  const char* from_saved = static_cast<const char*>(saved.raw());
  const char* from_dy = static_cast<const char*>(dy.raw());
  char* to = static_cast<char*>(dx.raw());
  ParallelFor(dy.elements(), kGrain, [&](size_t begin, size_t end) {
    const size_t at = begin * size;
    implementation.backward(activation, dy.dtype(), a, from_saved + at, from_dy + at, to + at, end - begin);
  });
  return dx;
}

Tensor ActivationBackwardLearned(const Activation& activation, const Tensor& saved, const Tensor& dy,
                                 const Tensor& learned) {
  HALFTONE_CHECK(saved.dtype() == dy.dtype() && saved.shape() == dy.shape());
  HALFTONE_CHECK(activation.learned.has_value());
  const ActivationImplementation& implementation = Choose(activation, dy.dtype());
  CheckLearned(activation, learned);
  Tensor gradient = Tensor::Empty(learned.device(), learned.dtype(), learned.shape());
  if (const auto* kernels = KernelsFor(activation, dy.device())) {
    kernels->backward_learned(activation, saved, dy, gradient);
    return gradient;
  }
  const double a = LearnedValue(learned);
  const size_t n = dy.elements(), size = SizeOf(dy.dtype());
  const char* from_saved = static_cast<const char*>(saved.raw());
  const char* from_dy = static_cast<const char*>(dy.raw());
  std::vector<double> sums((n + kGrain - 1) / kGrain);
  ParallelForBlocks(n, kGrain, [&](size_t block, size_t begin, size_t end) {
    const size_t at = begin * size;
    sums[block] = implementation.backward_learned(activation, dy.dtype(), a, from_saved + at, from_dy + at,
                                                  end - begin);
  });
  double sum = 0;
  for (const double s : sums) sum += s;
  VisitFloat(gradient.dtype(),
             [&](auto type) { gradient.data<decltype(type)>()[0] = static_cast<decltype(type)>(sum); });
  return gradient;
}

}  // namespace halftone::ops
