// The sum of a tensor's numbers. To be included where kernel.cuh may be.
#ifndef HALFTONE_TENSOR_CUDA_SUM_ALL_CUH_
#define HALFTONE_TENSOR_CUDA_SUM_ALL_CUH_

#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/tensor.h"

namespace halftone::cuda {

template <typename From, typename To>
__global__ void SumAllKernel(int64_t n, const From* numbers, double divisor, To* to) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += static_cast<double>(numbers[i]);
  sum = BlockReduce(sum, Plus());
  if (threadIdx.x == 0) *to = static_cast<To>(sum / divisor);
}

// The element of `to` = the sum of the numbers / divisor, in double and in a fixed order. By one block: for
// what blocks left of a large tensor.
template <typename From, typename To>
void SumAll(const Tensor& numbers, double divisor, Tensor& to) {
  Launch(to.device(), {.blocks = 1}, SumAllKernel<From, To>, numbers.elements(), numbers.device_data<From>(),
         divisor, to.device_data<To>());
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_SUM_ALL_CUH_
