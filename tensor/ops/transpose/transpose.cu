#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/transpose/transpose_kernels.h"

namespace halftone::ops {
namespace {

constexpr int kTile = 32;  // rows and columns that a block moves

// Matrices [m, n], in `down` x `across` tiles each. By way of __shared__ memory, so that neighbouring threads
// read neighbours and write neighbours.
template <typename T>
__global__ void TransposeKernel(int64_t m, int64_t n, int64_t down, int64_t across, const T* from, T* to) {
  __shared__ T tile[kTile][kTile + 1];  // a column lies in as many banks as a row
  const int64_t matrix = blockIdx.x / (down * across) * m * n;
  const int64_t row = blockIdx.x / across % down * kTile, column = blockIdx.x % across * kTile;
  const int x = static_cast<int>(threadIdx.x) % kTile, y = static_cast<int>(threadIdx.x) / kTile;
  const int step = static_cast<int>(blockDim.x) / kTile;
  for (int i = y; i < kTile; i += step) {
    if (row + i < m && column + x < n) tile[i][x] = from[matrix + (row + i) * n + column + x];
  }
  __syncthreads();
  for (int j = y; j < kTile; j += step) {
    if (column + j < n && row + x < m) to[matrix + (column + j) * m + row + x] = tile[x][j];
  }
}

template <typename T>
void TransposeOf(const Tensor& x, Tensor& y) {
  const int64_t m = x.shape()[-2], n = x.shape()[-1];
  const int64_t down = (m + kTile - 1) / kTile, across = (n + kTile - 1) / kTile;
  cuda::Launch(x.device(), {.blocks = x.elements() / (m * n) * down * across}, TransposeKernel<T>, m, n, down,
               across, x.device_data<T>(), y.device_data<T>());
}

}  // namespace

const TransposeKernels kTransposeKernels = {
    .transpose =
        [](const Tensor& x, Tensor& y) {
          VisitFloat(x.dtype(), [&](auto type) { TransposeOf<decltype(type)>(x, y); });
        },
};

}  // namespace halftone::ops
