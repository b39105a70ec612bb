// Losses of one element each, of an input and a target, on accelerators: what mse.cu and bce.cu have in
// common.
//
//   struct Loss {
//     // R: float or double, in which the loss is wanted. A: in which to compute.
//     template <typename R, typename A> __device__ R Of(A input, A target) const;
//     template <typename A> __device__ A Derivative(A input, A target) const;  // for the input
//   };
#ifndef HALFTONE_TENSOR_OPS_MSE_POINTWISE_LOSS_CUH_
#define HALFTONE_TENSOR_OPS_MSE_POINTWISE_LOSS_CUH_

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/sum_all.cuh"
#include "tensor/ops/reduction.h"
#include "tensor/ops/seed.h"
#include "tensor/tensor.h"

namespace halftone::ops::pointwise {

// Elements of any float dtype.
struct Floats {
  const void* data;
  DType dtype;

  // Element i, rounded to A.
  template <typename A>
  __device__ A At(int64_t i) const {
    switch (dtype) {
      case DType::kF64:
        return static_cast<A>(static_cast<const double*>(data)[i]);
      case DType::kF16:
        return static_cast<A>(cuda::Load(static_cast<const half*>(data) + i));
      case DType::kBF16:
        return static_cast<A>(cuda::Load(static_cast<const bfloat16*>(data) + i));
      default:
        return static_cast<A>(static_cast<const float*>(data)[i]);
    }
  }
};

// sums[block]: of the losses of the elements of the block, in double.
template <class Loss, typename T>
__global__ void SumsKernel(int64_t n, Loss loss, const T* input, Floats target, double* sums) {
  using A = cuda::Wide<T>;
  double sum = 0;
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    sum += loss.template Of<double>(cuda::Load(input + i), target.At<A>(i));
  }
  sum = cuda::BlockReduce(sum, cuda::Plus());
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class Loss, typename T>
void ForwardOf(const Loss& loss, const Tensor& input, const Tensor& target, Reduction reduction,
               Tensor& result) {
  using A = cuda::Wide<T>;
  const int64_t n = input.elements();
  const T* from = input.device_data<T>();
  const Floats targets = {target.device_raw(), target.dtype()};
  if (reduction == Reduction::kNone) {
    A* to = result.device_data<A>();
    cuda::ForEach(input.device(), n, [=] __device__(int64_t i) {
      to[i] = loss.template Of<A>(cuda::Load(from + i), targets.At<A>(i));
    });
    return;
  }
  const int64_t blocks = std::clamp<int64_t>(n / 2048, 1, 1024);
  Tensor sums = Tensor::Empty(input.device(), DType::kF64, {blocks});
  cuda::Launch(input.device(), {.blocks = blocks}, SumsKernel<Loss, T>, n, loss, from, targets,
               sums.device_data<double>());
  cuda::SumAll<double, A>(sums, reduction == Reduction::kMean ? static_cast<double>(n) : 1, result);
}

template <class Loss>
void Forward(const Loss& loss, const Tensor& input, const Tensor& target, Reduction reduction,
             Tensor& result) {
  VisitFloat(input.dtype(),
             [&](auto type) { ForwardOf<Loss, decltype(type)>(loss, input, target, reduction, result); });
}

template <class Loss, typename T>
void BackwardOf(const Loss& loss, const Tensor& input, const Tensor& target, const Seed::OnDevice& seed,
                Tensor& gradient) {
  using A = cuda::Wide<T>;
  const T* from = input.device_data<T>();
  const Floats targets = {target.device_raw(), target.dtype()};
  T* to = gradient.device_data<T>();
  cuda::ForEach(input.device(), input.elements(), [=] __device__(int64_t i) {
    cuda::Store(to + i, static_cast<A>(seed()) * loss.Derivative(cuda::Load(from + i), targets.At<A>(i)));
  });
}

// gradient = factor * seed * derivative, divided by the number of elements for kMean.
template <class Loss>
void Backward(const Loss& loss, const Tensor& input, const Tensor& target, const Seed& seed, double factor,
              Reduction reduction, Tensor& gradient) {
  const Seed::OnDevice scaled =
      seed.Scaled(factor, reduction == Reduction::kMean ? static_cast<double>(input.elements()) : 1);
  VisitFloat(input.dtype(),
             [&](auto type) { BackwardOf<Loss, decltype(type)>(loss, input, target, scaled, gradient); });
}

}  // namespace halftone::ops::pointwise

#endif  // HALFTONE_TENSOR_OPS_MSE_POINTWISE_LOSS_CUH_
