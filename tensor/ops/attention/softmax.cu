// A row a warp.
#include <limits>

#include "tensor/cuda/packed.cuh"
#include "tensor/ops/attention/softmax_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Wide;

constexpr int64_t kRowsOfABlock = cuda::kThreads / cuda::kWarp;

// mask: null, or n numbers for each item, which has rows_of_item rows.
template <typename T, int kN>
__global__ void ForwardKernel(int64_t rows, int64_t n, int64_t rows_of_item, const int64_t* mask, T* scores) {
  using A = Wide<T>;
  const int64_t row = cuda::GlobalThread() / cuda::kWarp, lane = threadIdx.x % cuda::kWarp;
  if (row >= rows) return;
  const int64_t* keys = mask == nullptr ? nullptr : mask + row / rows_of_item * n;
  T* x = scores + row * n;
  constexpr A kInfinity = std::numeric_limits<A>::infinity();
  A values[kN];
  const auto load = [&](int64_t i) {
    cuda::LoadPacked<kN>(x + i, values);
    if (keys == nullptr) return;
    for (int k = 0; k < kN; ++k) {
      if (keys[i + k] == 0) values[k] = -kInfinity;
    }
  };
  // The greatest, or a NaN if there is one: then all of the row is NaN.
  A greatest = -kInfinity;
  for (int64_t i = lane * kN; i < n; i += cuda::kWarp * kN) {
    load(i);
    for (int k = 0; k < kN; ++k) greatest = cuda::Maximum()(greatest, values[k]);
  }
  greatest = cuda::WarpReduce(greatest, cuda::Maximum());
  if (greatest == -kInfinity && keys != nullptr) greatest = 0;  // no key at all: exp(-infinity) is 0 for each

  A sum = 0;
  for (int64_t i = lane * kN; i < n; i += cuda::kWarp * kN) {
    load(i);
    for (int k = 0; k < kN; ++k) sum += std::exp(values[k] - greatest);
  }
  sum = static_cast<A>(cuda::WarpReduce(static_cast<double>(sum), cuda::Plus()));
  const A factor = sum == 0 ? 0 : 1 / sum;
  for (int64_t i = lane * kN; i < n; i += cuda::kWarp * kN) {
    load(i);
    for (int k = 0; k < kN; ++k) values[k] = std::exp(values[k] - greatest) * factor;
    cuda::StorePacked<kN>(x + i, values);
  }
}

// p (g - sum of g p), where g is the gradient after dropout's own. A thread takes the elements of one block
// of random numbers at a time.
template <typename T>
__global__ void BackwardKernel(int64_t rows, int64_t n, const T* probabilities, double dropout, Rng stream,
                               T* gradient) {
  using A = Wide<T>;
  const int64_t row = cuda::GlobalThread() / cuda::kWarp, lane = threadIdx.x % cuda::kWarp;
  if (row >= rows) return;
  const int64_t begin = row * n, end = begin + n;
  const auto threshold = static_cast<float>(dropout);
  const A scale = static_cast<A>(1 / (1 - dropout));
  // Calls f(i, g, p) for the elements that are this thread's.
  const auto for_each = [&](const auto& f) {
    for (int64_t block = begin / 4 + lane; block * 4 < end; block += cuda::kWarp) {
      const PhiloxBlock bits = dropout == 0 ? PhiloxBlock{} : stream.Block(static_cast<uint64_t>(block));
      for (int k = 0; k < 4; ++k) {
        const int64_t i = block * 4 + k;
        if (i < begin || i >= end) continue;
        A g = cuda::Load(gradient + i);
        if (dropout != 0) g = Rng::ToUniform(bits[k]) < threshold ? A(0) : g * scale;
        f(i, g, cuda::Load(probabilities + i));
      }
    }
  };
  A sum = 0;
  for_each([&](int64_t, A g, A p) { sum += g * p; });
  const A across = static_cast<A>(cuda::WarpReduce(static_cast<double>(sum), cuda::Plus()));
  for_each([&](int64_t i, A g, A p) { cuda::Store(gradient + i, p * (g - across)); });
}

int64_t Rows(const AttentionProblem& p) { return p.batch * p.heads * p.length; }
cuda::Grid GridOf(const AttentionProblem& p) {
  return {.blocks = (Rows(p) + kRowsOfABlock - 1) / kRowsOfABlock};
}

template <typename T>
void ForwardOf(const AttentionProblem& p, const Tensor& mask, Tensor& scores) {
  const int64_t* keys = mask.defined() ? mask.device_data<int64_t>() : nullptr;
  cuda::VisitPacked<T>(p.length, [&](auto packed) {
    cuda::Launch(scores.device(), GridOf(p), ForwardKernel<T, decltype(packed)::value>, Rows(p), p.length,
                 p.heads * p.length, keys, scores.device_data<T>());
  });
}

}  // namespace

const SoftmaxKernels kSoftmaxKernels = {
    .forward =
        [](const AttentionProblem& p, const Tensor& mask, Tensor& scores) {
          VisitFloat(scores.dtype(), [&](auto type) { ForwardOf<decltype(type)>(p, mask, scores); });
        },
    .backward =
        [](const AttentionProblem& p, const Tensor& probabilities, Tensor& gradient) {
          VisitFloat(gradient.dtype(), [&](auto type) {
            using T = decltype(type);
            cuda::Launch(gradient.device(), GridOf(p), BackwardKernel<T>, Rows(p), p.length,
                         probabilities.device_data<T>(), p.dropout, p.stream, gradient.device_data<T>());
          });
        },
};

}  // namespace halftone::ops
