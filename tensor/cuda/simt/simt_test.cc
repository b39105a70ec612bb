#include "tensor/cuda/simt/simt.h"

#include <memory>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/cuda/kernel.cuh"
#include "tensor/tensor.h"

namespace halftone::simt {
namespace {

std::unique_ptr<Device> SimtDevice() {
  return std::make_unique<Device>(std::make_unique<SimtAccelerator>(), nullptr);
}

__global__ void SumOfBlock(const float* x, float* sums, int64_t n) {
  const int64_t i = cuda::GlobalThread();
  const float sum = cuda::BlockReduce(i < n ? x[i] : 0.0f, cuda::Plus());
  const float largest = cuda::BlockReduce(i < n ? x[i] : 0.0f, cuda::Maximum());
  if (threadIdx.x == 0) {
    sums[2 * blockIdx.x] = sum;
    sums[2 * blockIdx.x + 1] = largest;
  }
}

TEST(SimtTest, BlocksReduceAcrossTheirWarps) {
  const auto device = SimtDevice();
  std::vector<float> x(200);
  std::iota(x.begin(), x.end(), 1);
  const Tensor in = Tensor::From<float>(*device, {200}, x);
  for (const int threads : {32, 96, 128}) {
    const int64_t blocks = (200 + threads - 1) / threads;
    Tensor sums = Tensor::Zeros(*device, DType::kF32, {2 * blocks});
    cuda::Launch(*device, {.blocks = blocks, .threads = threads}, SumOfBlock, in.device_data<float>(),
                 sums.device_data<float>(), 200);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t first = b * threads, end = std::min<int64_t>(200, first + threads);
      EXPECT_EQ(sums.data<float>()[2 * b], static_cast<float>((end * (end + 1) - first * (first + 1)) / 2));
      EXPECT_EQ(sums.data<float>()[2 * b + 1], static_cast<float>(end));
    }
  }
}

__global__ void Reverse(int* values) {
  __shared__ int shared[64];
  shared[threadIdx.x] = values[threadIdx.x];
  __syncthreads();
  values[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

TEST(SimtTest, ThreadsSeeWhatOthersWroteBeforeTheBarrier) {
  const auto device = SimtDevice();
  std::vector<int32_t> values(64);
  std::iota(values.begin(), values.end(), 0);
  Tensor t = Tensor::From<int32_t>(*device, {64}, values);
  cuda::Launch(*device, {.blocks = 1, .threads = 64}, Reverse, t.device_data<int32_t>());
  for (int i = 0; i < 64; ++i) EXPECT_EQ(t.data<int32_t>()[i], 63 - i);
}

TEST(SimtTest, NothingRunsBeforeTheHostWaits) {
  const auto device = SimtDevice();
  Tensor t = Tensor::From<int32_t>(*device, {1}, std::vector<int32_t>{1});
  int32_t* const element = t.device_data<int32_t>();
  cuda::ForEach(*device, 1, [=](int64_t) { *element = 2; });
  EXPECT_EQ(*element, 1);
  EXPECT_EQ(*t.data<int32_t>(), 2);
}

TEST(SimtTest, EveryIndexIsVisitedOnce) {
  const auto device = SimtDevice();
  for (const int64_t n : {0, 1, 255, 256, 257, 5000}) {
    Tensor t = Tensor::Zeros(*device, DType::kI32, {n + 1});
    int32_t* const counts = t.device_data<int32_t>();
    cuda::ForEach(*device, n, [=](int64_t i) { ++counts[i]; });
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(t.data<int32_t>()[i], 1);
    EXPECT_EQ(t.data<int32_t>()[n], 0);
  }
}

__global__ void HalfOfThemWait(int) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    SyncWarp();
  }
}

TEST(SimtDeathTest, AThreadThatNeverComesToTheBarrierIsAnError) {
  EXPECT_DEATH(
      {
        const auto device = SimtDevice();
        cuda::Launch(*device, {.blocks = 1, .threads = 32}, HalfOfThemWait, 0);
        device->Synchronize();
      },
      "check failed");
}

}  // namespace
}  // namespace halftone::simt
