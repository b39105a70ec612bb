#include "tensor/ops/linear/float8_product.h"

#include <cstdint>

#include "tensor/cuda/kernel.cuh"

#ifdef __CUDACC__
#include <cuda_fp8.h>
#endif

namespace halftone::ops {
namespace {

constexpr int kTile = 32;  // rows and columns that a block transposes

// x is a value of the format times the scale, but for the rounding of that product, which is far below half a
// unit of the format.
__device__ uint8_t CodeOf(const FloatFormat& format, float x, float scale) {
  const float value = x / scale;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  return __nv_cvt_float_to_fp8(value, __NV_NOSAT, format.mantissa_bits == 2 ? __NV_E5M2 : __NV_E4M3);
#else
  return static_cast<uint8_t>(Encode(format, value, Rounding::kNearestEven, Overflow::kInfinity));
#endif
}

__global__ void EncodeTransposedKernel(FloatFormat format, const float* scale, int64_t m, int64_t n,
                                       int64_t across, const float* from, uint8_t* to) {
  __shared__ uint8_t tile[kTile][kTile + 4];
  const int64_t row = blockIdx.x / across * kTile, column = blockIdx.x % across * kTile;
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
  const int step = static_cast<int>(blockDim.x) / kTile;
  for (int i = y; i < kTile; i += step) {
    if (row + i < m && column + x < n) tile[i][x] = CodeOf(format, from[(row + i) * n + column + x], *scale);
  }
  __syncthreads();
  for (int j = y; j < kTile; j += step) {
    if (column + j < n && row + x < m) to[(column + j) * m + row + x] = tile[x][j];
  }
}

void EncodeFactor(const Factor& factor, bool transpose, Tensor& codes) {
  const FloatFormat format = factor.float8->format;
  const float* scale = factor.float8->scale.device_data<float>();
  const float* from = factor.values.device_data<float>();
  auto* to = codes.device_data<uint8_t>();
  if (!transpose) {
    return cuda::ForEach(codes.device(), codes.elements(),
                         [=] __device__(int64_t i) { to[i] = CodeOf(format, from[i], *scale); });
  }
  const int64_t m = factor.values.shape()[0], n = factor.values.shape()[1];
  const int64_t down = (m + kTile - 1) / kTile, across = (n + kTile - 1) / kTile;
  cuda::Launch(codes.device(), {.blocks = down * across}, EncodeTransposedKernel, format, scale, m, n, across,
               from, to);
}

}  // namespace

const Float8CodeKernels kFloat8CodeKernels = {.encode = EncodeFactor};

}  // namespace halftone::ops
