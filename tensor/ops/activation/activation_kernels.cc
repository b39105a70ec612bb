#include "tensor/ops/activation/activation_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/activation/activation_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// An activation: F(d, x) and Gradient(d, saved, dy) = dy * f'(saved).
struct Relu {
  // Not Max, which may turn NaN into 0.
  template <class D>
  static HWY_INLINE hn::Vec<D> F(D d, hn::Vec<D> x) {
    return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x);
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> Gradient(D d, hn::Vec<D> y, hn::Vec<D> dy) {
    return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), dy);
  }
};

template <class Function>
void Forward(DType dtype, const void* x, void* y, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* px = static_cast<const T*>(x);
    T* py = static_cast<T*>(y);
    ForVectors(
        n, [=](auto d, size_t i) HWY_ATTR { StoreFloats(Function::F(d, LoadFloats(d, px + i)), d, py + i); });
  });
}

template <class Function>
void Backward(DType dtype, const void* saved, const void* dy, void* dx, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const T* ps = static_cast<const T*>(saved);
    const T* pdy = static_cast<const T*>(dy);
    T* pdx = static_cast<T*>(dx);
    ForVectors(n, [=](auto d, size_t i) HWY_ATTR {
      StoreFloats(Function::Gradient(d, LoadFloats(d, ps + i), LoadFloats(d, pdy + i)), d, pdx + i);
    });
  });
}

void ReluForward(DType dtype, const void* x, void* y, size_t n) { Forward<Relu>(dtype, x, y, n); }
void ReluBackward(DType dtype, const void* y, const void* dy, void* dx, size_t n) {
  Backward<Relu>(dtype, y, dy, dx, n);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone::ops {
namespace {

HWY_EXPORT(ReluForward);
HWY_EXPORT(ReluBackward);

}  // namespace

const ActivationKernels kReluKernels = {
    .forward = [](DType dtype, const void* x, void* y,
                  size_t n) { HWY_DYNAMIC_DISPATCH(ReluForward)
                              (dtype, x, y, n); },
    .backward = [](DType dtype, const void* saved, const void* dy, void* dx,
                   size_t n) { HWY_DYNAMIC_DISPATCH(ReluBackward)
                               (dtype, saved, dy, dx, n); }};

}  // namespace halftone::ops
#endif  // HWY_ONCE
