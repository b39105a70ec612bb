#include <cmath>

#include "tensor/ops/bce/bce_kernels.h"
#include "tensor/ops/mse/pointwise_loss.cuh"

namespace halftone::ops {
namespace {

// A NaN stays.
template <typename A>
__device__ A AtLeast(A limit, A x) {
  return x < limit ? limit : x;
}

struct WithLogits {
  double pos_weight;

  template <typename A>
  static __device__ A Softplus(A x) {
    return AtLeast(A(0), x) + std::log1p(std::exp(-std::abs(x)));
  }
  template <typename A>
  static __device__ A Sigmoid(A x) {
    const A e = std::exp(-std::abs(x));
    return (x >= 0 ? A(1) : e) / (A(1) + e);
  }

  template <typename R, typename A>
  __device__ R Of(A x, A t) const {
    return static_cast<A>(pos_weight) * t * Softplus(-x) + (A(1) - t) * Softplus(x);
  }
  template <typename A>
  __device__ A Derivative(A x, A t) const {
    return (A(1) - t) * Sigmoid(x) - static_cast<A>(pos_weight) * t * Sigmoid(-x);
  }
};

struct WithProbabilities {
  template <typename R, typename A>
  __device__ R Of(A p, A t) const {
    const A log_p = AtLeast(A(-100), std::log(p)), log_q = AtLeast(A(-100), std::log1p(-p));
    return (t - A(1)) * log_q - t * log_p;
  }
  template <typename A>
  __device__ A Derivative(A p, A t) const {
    // PyTorch keeps the bound in float whatever the dtype.
    return (p - t) / AtLeast(static_cast<A>(1e-12f), (A(1) - p) * p);
  }
};

void Targets(const Tensor& labels, double smoothing, Tensor& targets) {
  const int64_t* from = labels.device_data<int64_t>();
  float* to = targets.device_data<float>();
  cuda::ForEach(labels.device(), labels.elements(), [=] __device__(int64_t i) {
    cuda::CheckOnDevice(from[i] == 0 || from[i] == 1);
    to[i] = BinaryTarget(from[i], smoothing);
  });
}

template <typename T>
void CorrectOf(const Tensor& logits, const Tensor& labels, Tensor& correct) {
  const T* z = logits.device_data<T>();
  const int64_t* label = labels.device_data<int64_t>();
  int32_t* to = correct.device_data<int32_t>();
  cuda::ForEach(labels.device(), labels.elements(),
                [=] __device__(int64_t i) { to[i] = BinaryCorrect(cuda::Load(z + i), label[i]); });
}

void CountCorrect(const Tensor& logits, const Tensor& labels, Tensor& count) {
  Tensor correct = Tensor::Empty(logits.device(), DType::kI32, {labels.elements()});
  VisitFloat(logits.dtype(), [&](auto type) { CorrectOf<decltype(type)>(logits, labels, correct); });
  cuda::SumAll<int32_t, int64_t>(correct, 1, count);
}

}  // namespace

const BceKernels kBceKernels = {
    .targets = Targets,
    .count_correct = CountCorrect,
    .forward_with_logits =
        [](const Tensor& logits, const Tensor& target, const BceWithLogitsOptions& options, Tensor& loss) {
          pointwise::Forward(WithLogits{options.pos_weight}, logits, target, options.reduction, loss);
        },
    .backward_with_logits =
        [](const Tensor& logits, const Tensor& target, const Seed& seed, const BceWithLogitsOptions& options,
           Tensor& gradient) {
          pointwise::Backward(WithLogits{options.pos_weight}, logits, target, seed, 1, options.reduction,
                              gradient);
        },
    .forward =
        [](const Tensor& probabilities, const Tensor& target, Reduction reduction, Tensor& loss) {
          pointwise::Forward(WithProbabilities(), probabilities, target, reduction, loss);
        },
    .backward =
        [](const Tensor& probabilities, const Tensor& target, const Seed& seed, Reduction reduction,
           Tensor& gradient) {
          pointwise::Backward(WithProbabilities(), probabilities, target, seed, 1, reduction, gradient);
        },
};

}  // namespace halftone::ops
