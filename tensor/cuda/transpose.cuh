// Transposed matrices. To be included where kernel.cuh may be.
#ifndef HALFTONE_TENSOR_CUDA_TRANSPOSE_CUH_
#define HALFTONE_TENSOR_CUDA_TRANSPOSE_CUH_

#include <cstdint>

#include "tensor/cuda/kernel.cuh"

namespace halftone::cuda {

inline constexpr int kTile = 32;  // rows and columns that a block moves

// By way of __shared__ memory, so that neighbouring threads read neighbours and write neighbours.
template <typename T, typename Read>
__global__ void TransposeKernel(int64_t m, int64_t n, int64_t down, int64_t across, Read read, T* to) {
  __shared__ T tile[kTile][kTile + 1];  // a column lies in as many banks as a row
  const int64_t matrix = blockIdx.x / (down * across) * m * n;
  const int64_t row = blockIdx.x / across % down * kTile, column = blockIdx.x % across * kTile;
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
  const int step = static_cast<int>(blockDim.x) / kTile;
  for (int i = y; i < kTile; i += step) {
    if (row + i < m && column + x < n) tile[i][x] = read(matrix + (row + i) * n + column + x);
  }
  __syncthreads();
  for (int j = y; j < kTile; j += step) {
    if (column + j < n && row + x < m) to[matrix + (column + j) * m + row + x] = tile[x][j];
  }
}

// to: the transposes [n, m] of `count` matrices [m, n], one behind the other, of which read(i) gives element
// i.
template <typename T, typename Read>
void Transpose(const Device& device, int64_t count, int64_t m, int64_t n, Read read, T* to) {
  const int64_t down = (m + kTile - 1) / kTile, across = (n + kTile - 1) / kTile;
  Launch(device, {.blocks = count * down * across}, TransposeKernel<T, Read>, m, n, down, across, read, to);
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_TRANSPOSE_CUH_
