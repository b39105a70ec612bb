#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/sum_all.cuh"
#include "tensor/ops/cross_entropy/cross_entropy_kernels.h"

namespace halftone::ops {
namespace {

// A block works on a row, a thread of it on four logits or more.
cuda::Grid RowsOf(const Tensor& logits) {
  const int64_t warps = (logits.shape()[1] + 4 * cuda::kWarp - 1) / (4 * cuda::kWarp);
  return {.blocks = logits.shape()[0],
          .threads = static_cast<int>(std::min<int64_t>(warps * cuda::kWarp, cuda::kThreads))};
}

// The row's label.
__device__ inline int64_t LabelOf(const int64_t* labels, int64_t classes) {
  const int64_t label = labels[blockIdx.x];
  cuda::CheckOnDevice(label >= 0 && label < classes);
  return label;
}

struct Minimum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

// The largest logit of the row, for all threads.
template <typename T>
__device__ cuda::Wide<T> MaximumOf(const T* row, int64_t classes) {
  cuda::Wide<T> maximum = cuda::Load(row);
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
    maximum = cuda::Maximum()(maximum, cuda::Load(row + c));
  }
  return cuda::BlockReduce(maximum, cuda::Maximum());
}

template <typename T, typename A = cuda::Wide<T>>
__global__ void ForwardKernel(int64_t classes, A smoothing, const T* logits, const int64_t* labels, A* losses,
                              A* log_sum_exp) {
  const int64_t r = blockIdx.x, label = LabelOf(labels, classes);
  const T* row = logits + r * classes;
  // Without the maximum, exp would overflow; an infinite one gives NaN, as it should.
  const A maximum = MaximumOf(row, classes);
  A sum = 0, off = 0;  // of exp(z - maximum); of z - maximum
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
    const A shifted = cuda::Load(row + c) - maximum;
    sum += std::exp(shifted);
    off += shifted;
  }
  sum = cuda::BlockReduce(sum, cuda::Plus());
  if (smoothing != 0) off = cuda::BlockReduce(off, cuda::Plus());
  if (threadIdx.x != 0) return;
  // log_sum_exp - z, where the maximum has cancelled.
  const A log_sum = std::log(sum), of_label = log_sum - (cuda::Load(row + label) - maximum);
  const A of_mean = log_sum - off / static_cast<A>(classes);
  losses[r] = smoothing == 0 ? of_label : (1 - smoothing) * of_label + smoothing * of_mean;
  log_sum_exp[2 * r] = maximum;
  log_sum_exp[2 * r + 1] = log_sum;
}

template <typename T, typename A = cuda::Wide<T>>
void ForwardOf(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options,
               CrossEntropyResult& result) {
  const bool each = options.reduction == Reduction::kNone;
  const int64_t rows = logits.shape()[0];
  Tensor losses = each ? result.loss : Tensor::Empty(logits.device(), kDTypeOf<A>, {rows});
  cuda::Launch(logits.device(), RowsOf(logits), ForwardKernel<T, A>, logits.shape()[1],
               options.label_smoothing, logits.device_data<T>(), labels.device_data<int64_t>(),
               losses.template device_data<A>(), result.log_sum_exp.device_data<A>());
  if (each) return;
  cuda::SumAll<A, A>(losses, options.reduction == Reduction::kMean ? static_cast<double>(rows) : 1,
                     result.loss);
}

template <typename T, typename A = cuda::Wide<T>>
__global__ void BackwardKernel(int64_t classes, Seed::OnDevice seed, A elsewhere, A at_label, const T* logits,
                               const int64_t* labels, const A* log_sum_exp, T* gradient) {
  const int64_t r = blockIdx.x, label = LabelOf(labels, classes);
  const A maximum = log_sum_exp[2 * r], log_sum = log_sum_exp[2 * r + 1];
  const auto factor = static_cast<A>(seed());
  for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
    const int64_t i = r * classes + c;
    const A target = c == label ? at_label + elsewhere : elsewhere;
    cuda::Store(gradient + i, factor * (std::exp(cuda::Load(logits + i) - maximum - log_sum) - target));
  }
}

template <typename T>
void BackwardOf(const Tensor& logits, const Tensor& labels, const Tensor& log_sum_exp, const Seed& seed,
                const CrossEntropyOptions& options, Tensor& gradient) {
  using A = cuda::Wide<T>;
  const int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  const double s = options.label_smoothing;
  cuda::Launch(logits.device(), RowsOf(logits), BackwardKernel<T, A>, classes,
               seed.Scaled(1, options.reduction == Reduction::kMean ? static_cast<double>(rows) : 1),
               s / static_cast<double>(classes), 1 - s, logits.device_data<T>(),
               labels.device_data<int64_t>(), log_sum_exp.device_data<A>(), gradient.device_data<T>());
}

// correct[r]: 1 where the first of the row's largest logits is the label's, and none is NaN.
template <typename T>
__global__ void CorrectKernel(int64_t classes, const T* logits, const int64_t* labels, int32_t* correct) {
  const int64_t label = LabelOf(labels, classes);
  const T* row = logits + int64_t{blockIdx.x} * classes;
  const auto maximum = MaximumOf(row, classes);
  int64_t first = classes;
  for (int64_t c = threadIdx.x; c < classes && first == classes; c += blockDim.x) {
    if (cuda::Load(row + c) == maximum) first = c;
  }
  first = cuda::BlockReduce(first, Minimum());  // still `classes` where the maximum is NaN
  if (threadIdx.x == 0) correct[blockIdx.x] = first == label;
}

template <typename T>
void CorrectOf(const Tensor& logits, const Tensor& labels, Tensor& correct) {
  cuda::Launch(logits.device(), RowsOf(logits), CorrectKernel<T>, logits.shape()[1], logits.device_data<T>(),
               labels.device_data<int64_t>(), correct.device_data<int32_t>());
}

void Count(const Tensor& logits, const Tensor& labels, Tensor& count) {
  Tensor correct = Tensor::Empty(logits.device(), DType::kI32, {logits.shape()[0]});
  VisitFloat(logits.dtype(), [&](auto type) { CorrectOf<decltype(type)>(logits, labels, correct); });
  cuda::SumAll<int32_t, int64_t>(correct, 1, count);
}

}  // namespace

const CrossEntropyKernels kCrossEntropyKernels = {
    .forward =
        [](const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options,
           CrossEntropyResult& result) {
          VisitFloat(logits.dtype(),
                     [&](auto type) { ForwardOf<decltype(type)>(logits, labels, options, result); });
        },
    .backward =
        [](const Tensor& logits, const Tensor& labels, const Tensor& log_sum_exp, const Seed& seed,
           const CrossEntropyOptions& options, Tensor& gradient) {
          VisitFloat(logits.dtype(), [&](auto type) {
            BackwardOf<decltype(type)>(logits, labels, log_sum_exp, seed, options, gradient);
          });
        },
    .count_correct = Count,
};

}  // namespace halftone::ops
