#include "tensor/ops/mse/mse_kernels.h"
#include "tensor/ops/mse/pointwise_loss.cuh"

namespace halftone::ops {
namespace {

struct SquaredError {
  template <typename R, typename A>
  __device__ R Of(A prediction, A target) const {
    const A d = prediction - target;
    return static_cast<R>(d) * d;
  }
  // Half of it.
  template <typename A>
  __device__ A Derivative(A prediction, A target) const {
    return prediction - target;
  }
};

}  // namespace

const MseKernels kMseKernels = {
    .forward = [](const Tensor& prediction, const Tensor& target, Reduction reduction,
                  Tensor& loss) { pointwise::Forward(SquaredError(), prediction, target, reduction, loss); },
    .backward =
        [](const Tensor& prediction, const Tensor& target, const Seed& seed, Reduction reduction,
           Tensor& gradient) {
          pointwise::Backward(SquaredError(), prediction, target, seed, 2, reduction, gradient);
        },
};

}  // namespace halftone::ops
