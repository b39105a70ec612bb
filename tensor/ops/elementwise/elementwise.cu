#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/elementwise/elementwise_kernels.h"

namespace halftone::ops {
namespace {

template <typename T>
void AddOf(const Tensor& a, const Tensor& b, Tensor& y) {
  const T* from_a = a.device_data<T>();
  const T* from_b = b.device_data<T>();
  T* to = y.device_data<T>();
  cuda::ForEach(y.device(), y.elements(), [=] __device__(int64_t i) {
    cuda::Store(to + i, cuda::Load(from_a + i) + cuda::Load(from_b + i));
  });
}

template <typename T>
void ScaleOf(const Tensor& a, double factor, Tensor& y) {
  const T* from = a.device_data<T>();
  T* to = y.device_data<T>();
  const auto f = static_cast<cuda::Wide<T>>(factor);
  cuda::ForEach(y.device(), y.elements(),
                [=] __device__(int64_t i) { cuda::Store(to + i, f * cuda::Load(from + i)); });
}

template <typename T>
void FindNonFinite(const Tensor& t, Tensor& found) {
  const T* from = t.device_data<T>();
  int32_t* to = found.device_data<int32_t>();
  cuda::ForEach(t.device(), t.elements(), [=] __device__(int64_t i) {
    const auto x = cuda::Load(from + i);
    if (x - x != 0) *to = 1;  // the same by whoever writes it
  });
}

bool AllFinite(const Tensor& t) {
  Tensor found = Tensor::Zeros(t.device(), DType::kI32, {});
  VisitFloat(t.dtype(), [&](auto type) { FindNonFinite<decltype(type)>(t, found); });
  return *found.data<int32_t>() == 0;
}

}  // namespace

const ElementwiseKernels kElementwiseKernels = {
    .add = [](const Tensor& a, const Tensor& b,
              Tensor& y) { VisitFloat(y.dtype(), [&](auto type) { AddOf<decltype(type)>(a, b, y); }); },
    .scale =
        [](const Tensor& a, double factor, Tensor& y) {
          VisitFloat(y.dtype(), [&](auto type) { ScaleOf<decltype(type)>(a, factor, y); });
        },
    .all_finite = AllFinite,
};

}  // namespace halftone::ops
