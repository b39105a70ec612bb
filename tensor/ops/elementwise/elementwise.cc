#include "tensor/ops/elementwise/elementwise.h"

#include <cmath>

#include "base/check.h"
#include "tensor/ops/elementwise/elementwise_implementations.h"
#include "tensor/ops/elementwise/elementwise_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/elementwise/elementwise.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

void SimdAdd(DType dtype, const void* a, const void* b, void* y, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* ta = static_cast<const T*>(a);
    const T* tb = static_cast<const T*>(b);
    T* ty = static_cast<T*>(y);
    ForVectors(n, [=](auto d, size_t i) HWY_ATTR {
      StoreFloats(hn::Add(LoadFloats(d, ta + i), LoadFloats(d, tb + i)), d, ty + i);
    });
  });
}

void SimdScale(DType dtype, const void* a, double factor, void* y, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* ta = static_cast<const T*>(a);
    T* ty = static_cast<T*>(y);
    const float f = static_cast<float>(factor);
    ForVectors(n, [=](auto d, size_t i)
                      HWY_ATTR { StoreFloats(hn::Mul(LoadFloats(d, ta + i), hn::Set(d, f)), d, ty + i); });
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <type_traits>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(SimdAdd);
HWY_EXPORT(SimdScale);

void DispatchAdd(DType dtype, const void* a, const void* b, void* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(SimdAdd)(dtype, a, b, y, n);
}

void DispatchScale(DType dtype, const void* a, double factor, void* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(SimdScale)(dtype, a, factor, y, n);
}

template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

void ReferenceAdd(DType dtype, const void* a, const void* b, void* y, size_t n) {
  VisitFloat(dtype, [=](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    for (size_t i = 0; i < n; ++i) {
      static_cast<T*>(y)[i] = T(A(static_cast<const T*>(a)[i]) + A(static_cast<const T*>(b)[i]));
    }
  });
}

void ReferenceScale(DType dtype, const void* a, double factor, void* y, size_t n) {
  VisitFloat(dtype, [=](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    for (size_t i = 0; i < n; ++i)
      static_cast<T*>(y)[i] = T(A(static_cast<const T*>(a)[i]) * static_cast<A>(factor));
  });
}

constexpr ElementwiseImplementation kImplementations[] = {
    {.name = "simd",
     .supports = [](DType t) { return t != DType::kF64; },
     .add = DispatchAdd,
     .scale = DispatchScale},
    {.name = "reference",
     .supports = [](DType) { return true; },
     .add = ReferenceAdd,
     .scale = ReferenceScale},
};

const ElementwiseImplementation& Choose(DType dtype) {
  HALFTONE_CHECK(IsFloat(dtype));
  const ElementwiseImplementation* row = kImplementations;
  while (!row->supports(dtype)) ++row;
  return *row;
}

constexpr size_t kGrain = 1 << 14;  // elements that are worth a thread

// y: a, or of its dtype and shape.
void AddInto(const Tensor& a, const Tensor& b, Tensor& y) {
  HALFTONE_CHECK(IsFloat(a.dtype()) && a.dtype() == b.dtype() && a.shape() == b.shape());
  if (const auto* kernels = a.device().Kernels<ElementwiseKernels>()) return kernels->add(a, b, y);
  const auto& implementation = Choose(a.dtype());
  const size_t size = SizeOf(a.dtype());
  const char* pa = static_cast<const char*>(a.raw());
  const char* pb = static_cast<const char*>(b.raw());
  char* py = static_cast<char*>(y.raw());
  ParallelFor(a.elements(), kGrain, [&](size_t begin, size_t end) {
    const size_t at = begin * size;
    implementation.add(a.dtype(), pa + at, pb + at, py + at, end - begin);
  });
}

}  // namespace

absl::Span<const ElementwiseImplementation> ElementwiseImplementations() { return kImplementations; }

Tensor Add(const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::Empty(a.device(), a.dtype(), a.shape());
  AddInto(a, b, y);
  return y;
}

void AddInPlace(Tensor& a, const Tensor& b) { AddInto(a, b, a); }

Tensor Scale(const Tensor& a, double factor) {
  const auto& implementation = Choose(a.dtype());
  Tensor y = Tensor::Empty(a.device(), a.dtype(), a.shape());
  if (const auto* kernels = a.device().Kernels<ElementwiseKernels>()) {
    kernels->scale(a, factor, y);
    return y;
  }
  const size_t size = SizeOf(a.dtype());
  const char* pa = static_cast<const char*>(a.raw());
  char* py = static_cast<char*>(y.raw());
  ParallelFor(a.elements(), kGrain, [&](size_t begin, size_t end) {
    implementation.scale(a.dtype(), pa + begin * size, factor, py + begin * size, end - begin);
  });
  return y;
}

bool AllFinite(const Tensor& t) {
  if (const auto* kernels = t.device().Kernels<ElementwiseKernels>()) return kernels->all_finite(t);
  return VisitFloat(t.dtype(), [&](auto type) {
    for (const auto v : t.span<decltype(type)>()) {
      if (!std::isfinite(static_cast<double>(v))) return false;
    }
    return true;
  });
}

double Item(const Tensor& t) {
  HALFTONE_CHECK(t.elements() == 1);
  return VisitFloat(t.dtype(), [&](auto type) { return static_cast<double>(t.data<decltype(type)>()[0]); });
}

}  // namespace halftone::ops
#endif  // HWY_ONCE
