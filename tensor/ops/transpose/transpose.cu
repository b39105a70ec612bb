#include "tensor/cuda/transpose.cuh"

#include <cstdint>

#include "tensor/ops/transpose/transpose_kernels.h"

namespace halftone::ops {
namespace {

template <typename T>
void TransposeOf(const Tensor& x, Tensor& y) {
  const int64_t m = x.shape()[-2], n = x.shape()[-1];
  const T* from = x.device_data<T>();
  cuda::Transpose(
      x.device(), x.elements() / (m * n), m, n, [=] __device__(int64_t i) { return from[i]; },
      y.device_data<T>());
}

}  // namespace

const TransposeKernels kTransposeKernels = {
    .transpose =
        [](const Tensor& x, Tensor& y) {
          VisitFloat(x.dtype(), [&](auto type) { TransposeOf<decltype(type)>(x, y); });
        },
};

}  // namespace halftone::ops
