// The sums are those of scaler/unscale.cc, in its order: element i of a block of kBlock is added to partial
// sum i % kLanes, the partial sums in order, the blocks in order.
#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/optim/many_arrays.cuh"
#include "nn/optim/unscale_kernels.h"
#include "tensor/cuda/kernel.cuh"
#include "tensor/tensor.h"

namespace halftone::nn {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kBlock = 4096;
constexpr int kBlocksTogether = cuda::kThreads / kLanes;  // of a block of threads
constexpr int64_t kElements = kBlock * kBlocksTogether;   // likewise
constexpr int kStaged = 1024;

struct Array {
  float* data;
  int64_t elements;
  int64_t first_block;  // of those of all arrays
};
using Arrays = cuda::ManyArrays<Array>;

__device__ int64_t BeginInArray(const Arrays& arrays, int number) {
  return int64_t{static_cast<int32_t>(blockIdx.x) - arrays.first_block[number]} * kElements;
}

__global__ void UnscaleKernel(Arrays arrays, const float* scale, double micro_batches, double* squares,
                              int32_t* zeros) {
  __shared__ double sums[cuda::kThreads];
  __shared__ int32_t zero_counts[cuda::kThreads];
  const int number = cuda::ArrayOfBlock(arrays);
  const Array& array = arrays.arrays[number];
  const auto inverse = static_cast<float>(1.0 / (*scale * micro_batches));
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes;
  const int64_t begin = BeginInArray(arrays, number) + thread / kLanes * kBlock;
  const int64_t end = std::min(begin + kBlock, array.elements);
  double sum = 0;
  int32_t count = 0;
  for (int64_t i = begin + lane; i < end; i += kLanes) {
    const float x = array.data[i] * inverse;
    if (inverse != 1) array.data[i] = x;
    sum += static_cast<double>(x) * x;
    count += x == 0;
  }
  sums[thread] = sum;
  zero_counts[thread] = count;
  __syncthreads();
  if (lane != 0 || begin >= array.elements) return;
  sum = 0;
  count = 0;
  for (int k = 0; k < kLanes; ++k) {
    sum += sums[thread + k];
    count += zero_counts[thread + k];
  }
  squares[array.first_block + begin / kBlock] = sum;
  zeros[array.first_block + begin / kBlock] = count;
}

// By one block: the rest of the sum, and what follows from it.
__global__ void JudgeKernel(const double* squares, int64_t blocks, double max_norm, ScalerReport* report,
                            float* clip_factor, int32_t* found_inf) {
  __shared__ double staged[kStaged];
  double sum = 0;  // thread 0's
  for (int64_t first = 0; first < blocks; first += kStaged) {
    const auto n = static_cast<int>(std::min<int64_t>(kStaged, blocks - first));
    for (int i = static_cast<int>(threadIdx.x); i < n; i += cuda::kThreads) staged[i] = squares[first + i];
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int i = 0; i < n; ++i) sum += staged[i];
    }
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  const bool finite = sum - sum == 0;
  report->grads.finite = finite;
  report->grads.norm = std::sqrt(sum);
  report->clip_factor = finite ? UncheckedClipFactor(max_norm, report->grads.norm) : 1;
  *clip_factor = report->clip_factor;
  *found_inf = !finite;
}

// By one block an array.
__global__ void CountZerosKernel(Arrays arrays, const int32_t* zeros, int64_t* to) {
  const Array& array = arrays.arrays[blockIdx.x];
  const int64_t blocks = (array.elements + kBlock - 1) / kBlock;
  int64_t count = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += cuda::kThreads) count += zeros[array.first_block + b];
  count = cuda::BlockReduce(count, cuda::Plus());
  if (threadIdx.x == 0) to[blockIdx.x] = count;
}

// Of finite gradients.
__global__ void ClampKernel(Arrays arrays, float limit, const int32_t* found_inf) {
  if (*found_inf != 0) return;
  const int number = cuda::ArrayOfBlock(arrays);
  const Array& array = arrays.arrays[number];
  const int64_t begin = BeginInArray(arrays, number), end = std::min(begin + kElements, array.elements);
  for (int64_t i = begin + threadIdx.x; i < end; i += cuda::kThreads) {
    array.data[i] = std::min(std::max(array.data[i], -limit), limit);
  }
}

__global__ void AdvanceKernel(LossScaleOptions options, ScalerReport* report, float* scale) {
  report->update = AdvanceLossScale(options, report->loss_scale, report->grads.finite);
  *scale = report->loss_scale.scale;
}

void Unscale(Device& device, const DeviceGradients& gradients) {
  std::vector<Array> all;
  all.reserve(gradients.gradients.size());
  int64_t blocks = 0;
  for (const DeviceGradients::Array& from : gradients.gradients) {
    all.push_back({from.data, from.elements, blocks});
    blocks += (from.elements + kBlock - 1) / kBlock;
  }
  Tensor squares = Tensor::Empty(device, DType::kF64, {blocks});
  Tensor zeros = Tensor::Empty(device, DType::kI32, {blocks});
  const absl::Span<const Array> arrays(all);
  cuda::InLaunches(arrays, kElements, [&](const Arrays& some, size_t, int64_t n) {
    cuda::Launch(device, {.blocks = n}, UnscaleKernel, some, gradients.scale, gradients.micro_batches,
                 squares.device_data<double>(), zeros.device_data<int32_t>());
  });
  cuda::Launch(device, {.blocks = 1}, JudgeKernel, squares.device_data<double>(), blocks, gradients.max_norm,
               gradients.report, gradients.clip_factor, gradients.found_inf);
  if (gradients.zeros != nullptr) {
    cuda::InLaunches(arrays, kElements, [&](const Arrays& some, size_t first, int64_t) {
      cuda::Launch(device, {.blocks = some.count}, CountZerosKernel, some, zeros.device_data<int32_t>(),
                   gradients.zeros + first);
    });
  }
  if (gradients.max_value > 0) {
    cuda::InLaunches(arrays, kElements, [&](const Arrays& some, size_t, int64_t n) {
      cuda::Launch(device, {.blocks = n}, ClampKernel, some, gradients.max_value, gradients.found_inf);
    });
  }
}

void Update(Device& device, const LossScaleOptions& options, ScalerReport* report, float* scale) {
  cuda::Launch(device, {.blocks = 1, .threads = 1}, AdvanceKernel, options, report, scale);
}

}  // namespace

const UnscaleKernels kUnscaleKernels = {.unscale = Unscale, .update = Update};

}  // namespace halftone::nn
