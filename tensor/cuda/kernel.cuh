// What kernels are written with, and how they are launched.
//
// The same source is compiled twice: by nvcc for a GPU, and as C++ for simt/, which runs it on the host,
// thread by thread. So every kernel is tested on machines without a GPU as well, by the tests that the CPU's
// ops have.
//
//   template <typename T>
//   void ScaleOf(const Tensor& a, float factor, Tensor& y) {
//     const T* from = a.device_data<T>();
//     T* to = y.device_data<T>();
//     ForEach(a.device(), a.elements(),
//             [=] __device__(int64_t i) { Store(to + i, factor * Load(from + i)); });
//   }
//
// Rules: blocks and grids have one dimension; __shared__ arrays have a constant size; products are not
// contracted (nvcc is told so), a fused multiply-add is written std::fma.
#ifndef HALFTONE_TENSOR_CUDA_KERNEL_CUH_
#define HALFTONE_TENSOR_CUDA_KERNEL_CUH_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"
#include "tensor/device.h"

#ifdef __CUDACC__
#define CUDA_NO_HALF  // no ::half
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "tensor/cuda/cuda_accelerator.h"
#else
#include "tensor/cuda/simt/simt.h"
#endif

namespace halftone::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kThreads = 256;  // a block, where nothing speaks for another number

// What kernels compute in.
template <typename T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Of one element. Same bits as static_cast on the host, in one instruction where the GPU has it.
template <typename T>
__host__ __device__ inline Wide<T> Load(const T* from) {
#ifdef __CUDA_ARCH__
  if constexpr (std::is_same_v<T, half>) return __half2float(*reinterpret_cast<const __half*>(from));
#endif
  return static_cast<Wide<T>>(*from);
}

// Rounds once, to nearest even.
template <typename T>
__host__ __device__ inline T Narrow(Wide<T> value) {
#ifdef __CUDA_ARCH__
  // The GPU's own conversions forget the payload of a NaN.
  if constexpr (std::is_same_v<T, half>) {
    if (value == value) return half::FromBits(__half_as_ushort(__float2half_rn(value)));
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    if (value == value) return bfloat16::FromBits(__bfloat16_as_ushort(__float2bfloat16_rn(value)));
  }
#endif
  return T(value);
}

template <typename T>
__host__ __device__ inline void Store(T* to, Wide<T> value) {
  *to = Narrow<T>(value);
}

struct Grid {
  int64_t blocks;
  int threads = kThreads;
  bool barriers = true;  // false: no thread waits for another, nor asks its warp
};

// Tells the device to run `kernel`, by all threads of all blocks.
template <typename... Parameters, typename... Arguments>
void Launch(const Device& device, Grid grid, void (*kernel)(Parameters...), Arguments... arguments) {
  if (grid.blocks == 0) return;
  HALFTONE_CHECK(grid.blocks > 0 && grid.blocks < (int64_t{1} << 31) && grid.threads > 0 &&
                 grid.threads <= 1024);
#ifdef __CUDACC__
  CudaAccelerator& cuda = CudaOf(device);
  kernel<<<static_cast<unsigned>(grid.blocks), grid.threads, 0, cuda.Use()>>>(
      static_cast<Parameters>(arguments)...);
  cuda.Check("launch of a kernel", cudaGetLastError());
#else
  simt::Of(device).Enqueue(grid.blocks, grid.threads, grid.barriers,
                           [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

// The index of this thread of all, and how many there are.
__device__ inline int64_t GlobalThread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t GlobalThreads() { return int64_t{gridDim.x} * blockDim.x; }

template <typename F>
__global__ void ForEachKernel(int64_t n, F f) {
  for (int64_t i = GlobalThread(); i < n; i += GlobalThreads()) f(i);
}

// f(i) for every i < n, in any order.
template <typename F>
void ForEach(const Device& device, int64_t n, F f) {
  constexpr int64_t kMostBlocks = 16384;  // enough to fill any GPU; the rest is a loop
  Launch(device, {.blocks = std::min((n + kThreads - 1) / kThreads, kMostBlocks), .barriers = false},
         ForEachKernel<F>, n, f);
}

// The value of the thread whose number in the warp differs in the bits of `mask`. All threads of the warp
// call it.
template <typename T>
__device__ inline T ShuffleXor(T value, int mask) {
#ifdef __CUDACC__
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
#else
  return simt::ShuffleXor(value, mask);
#endif
}

// HALFTONE_CHECK of what only the device knows: ends all work of the device with an error.
__device__ inline void CheckOnDevice(bool condition) {
#ifdef __CUDACC__
  if (!condition) __trap();
#else
  HALFTONE_CHECK(condition);
#endif
}

struct Plus {
  template <typename T>
  __host__ __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

// NaN if one of them is.
struct Maximum {
  template <typename T>
  __host__ __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

// Of all threads of the warp, the same for each; always in the same order.
template <typename T, typename Op>
__device__ inline T WarpReduce(T value, Op op) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = op(value, ShuffleXor(value, mask));
  return value;
}

// Of all threads of the block, whose number is a multiple of 32 and at most 1024; the same for each, always
// in the same order. All threads of the block call it.
template <typename T, typename Op>
__device__ inline T BlockReduce(T value, Op op) {
  __shared__ T of_warps[kWarp];
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = WarpReduce(value, op);
  __syncthreads();  // of_warps may still be read, by the call before
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = of_warps[0];
  for (int w = 1; w < warps; ++w) value = op(value, of_warps[w]);
  return value;
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_KERNEL_CUH_
