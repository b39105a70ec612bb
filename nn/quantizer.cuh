// What the kernels of quantisers share.
#ifndef HALFTONE_NN_QUANTIZER_CUH_
#define HALFTONE_NN_QUANTIZER_CUH_

#include <cstdint>

#include "nn/quantizer_kernels.h"
#include "quant/codebook_search.h"
#include "tensor/cuda/kernel.cuh"

namespace halftone::nn {

struct Rows {
  int64_t count, size;
  const float* scales;  // null: 1

  __host__ __device__ int64_t Of(int64_t i) const { return count == 1 ? 0 : i / size; }
  __host__ __device__ float Scale(int64_t row) const { return scales == nullptr ? 1 : scales[row]; }
};

inline Rows RowsOf(const Tensor& x, const DeviceScales& s) {
  const int64_t count = s.scales.defined() ? s.scales.elements() : 1;
  return {count, x.elements() / count, s.scales.defined() ? s.scales.device_data<float>() : nullptr};
}

__device__ inline bool IsFinite(float x) { return x - x == 0; }

inline constexpr int kMaxValues = CodebookSearch::kMaxSize;
inline int ValuesOf(const Tensor& search) { return static_cast<int>(search.shape()[1]); }

// In a block's shared memory.
struct Search {
  float values[kMaxValues], thresholds[kMaxValues];
};

// By all threads of a block.
__device__ inline void LoadSearch(const float* from, int size, Search& to) {
  for (int i = static_cast<int>(threadIdx.x); i < size; i += cuda::kThreads) {
    to.values[i] = from[i];
    if (i + 1 < size) to.thresholds[i] = from[size + i];
  }
  __syncthreads();
}

// How many thresholds are below q.
__device__ inline int Nearest(const Search& search, int size, float q) {
  int low = 0;
  for (int n = size - 1; n > 0;) {
    const int half = n / 2;
    if (search.thresholds[low + half] < q) {
      low += half + 1;
      n -= half + 1;
    } else {
      n = half;
    }
  }
  return low;
}

// quantizer_gradients.cu
void FloatGradients(const FloatFormat& format, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                    QuantizerGradients& to);
void IntegerGradients(const IntegerFormat& format, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                      QuantizerGradients& to);
void ValueGradients(const Tensor& search, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                    QuantizerGradients& to);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_QUANTIZER_CUH_
