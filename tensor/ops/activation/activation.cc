#include "tensor/ops/activation/activation.h"

#include <type_traits>

#include "base/parallel.h"
#include "tensor/ops/activation/activation_implementations.h"
#include "tensor/ops/activation/activation_kernels.h"

namespace halftone::ops {
namespace {

constexpr Activation kActivations[] = {
    {.name = "relu",
     .saves_output = true,
     .f = [](double x) { return x <= 0 ? 0 : x; },  // a NaN stays
     .df = [](double y) { return y <= 0 ? 0.0 : 1.0; },
     .kernels = &kReluKernels},
};

void KernelForward(const Activation& activation, DType dtype, const void* x, void* y, size_t n) {
  activation.kernels->forward(dtype, x, y, n);
}

void KernelBackward(const Activation& activation, DType dtype, const void* saved, const void* dy, void* dx,
                    size_t n) {
  activation.kernels->backward(dtype, saved, dy, dx, n);
}

void ReferenceForward(const Activation& activation, DType dtype, const void* x, void* y, size_t n) {
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < n; ++i) static_cast<T*>(y)[i] = T(activation.f(static_cast<const T*>(x)[i]));
  });
}

// Where f' is 0 so is dx, even for a dy that is infinite: a choice, not a product.
void ReferenceBackward(const Activation& activation, DType dtype, const void* saved, const void* dy, void* dx,
                       size_t n) {
  VisitFloat(dtype, [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < n; ++i) {
      const double slope = activation.df(static_cast<const T*>(saved)[i]);
      static_cast<T*>(dx)[i] = slope == 0 ? T(0.0) : T(static_cast<const T*>(dy)[i] * slope);
    }
  });
}

constexpr ActivationImplementation kImplementations[] = {
    {.name = "simd",
     .supports = [](const Activation& a,
                    DType dtype) { return a.kernels != nullptr && dtype != DType::kF64; },
     .forward = KernelForward,
     .backward = KernelBackward},
    {.name = "reference",
     .supports = [](const Activation&, DType) { return true; },
     .forward = ReferenceForward,
     .backward = ReferenceBackward},
};

const ActivationImplementation& Choose(const Activation& activation, DType dtype) {
  HALFTONE_CHECK(IsFloat(dtype));
  const ActivationImplementation* row = kImplementations;
  while (!row->supports(activation, dtype)) ++row;
  return *row;
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

Tensor ActivationForward(const Activation& activation, const Tensor& x) {
  const ActivationImplementation& implementation = Choose(activation, x.dtype());
  Tensor y = Tensor::Empty(x.device(), x.dtype(), x.shape());
  const size_t size = SizeOf(x.dtype());
  ParallelFor(x.elements(), kGrain, [&](size_t begin, size_t end) {
    implementation.forward(activation, x.dtype(), static_cast<const char*>(x.raw()) + begin * size,
                           static_cast<char*>(y.raw()) + begin * size, end - begin);
  });
  return y;
}

Tensor ActivationBackward(const Activation& activation, const Tensor& saved, const Tensor& dy) {
  HALFTONE_CHECK(saved.dtype() == dy.dtype() && saved.shape() == dy.shape());
  const ActivationImplementation& implementation = Choose(activation, dy.dtype());
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), dy.shape());
  const size_t size = SizeOf(dy.dtype());
  ParallelFor(dy.elements(), kGrain, [&](size_t begin, size_t end) {
    implementation.backward(activation, dy.dtype(), static_cast<const char*>(saved.raw()) + begin * size,
                            static_cast<const char*>(dy.raw()) + begin * size,
                            static_cast<char*>(dx.raw()) + begin * size, end - begin);
  });
  return dx;
}

}  // namespace halftone::ops
