#include "tensor/ops/mse/mse.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "tensor/ops/mse/mse_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kBlock = 1 << 14;  // elements summed by one thread, whatever the number of threads

void Check(const Tensor& prediction, const Tensor& target) {
  HALFTONE_CHECK(IsFloat(prediction.dtype()) && IsFloat(target.dtype()));
  HALFTONE_CHECK(prediction.shape() == target.shape());
}

// Calls body(prediction, target, A()), A being the arithmetic's type.
template <typename F>
void Visit(const Tensor& prediction, const Tensor& target, F body) {
  VisitFloat(prediction.dtype(), [&](auto p) {
    VisitFloat(target.dtype(), [&](auto t) {
      using P = decltype(p);
      using A = std::conditional_t<std::is_same_v<P, double>, double, float>;
      body(prediction.data<P>(), target.data<decltype(t)>(), A());
    });
  });
}

}  // namespace

Tensor MseForward(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  Check(prediction, target);
  const size_t n = prediction.elements();
  const bool each = reduction == Reduction::kNone;
  Tensor loss =
      Tensor::Empty(prediction.device(), prediction.dtype() == DType::kF64 ? DType::kF64 : DType::kF32,
                    each ? prediction.shape() : Shape{});
  if (const auto* kernels = prediction.device().Kernels<MseKernels>()) {
    kernels->forward(prediction, target, reduction, loss);
    return loss;
  }
  Visit(prediction, target, [&](const auto* p, const auto* t, auto arithmetic) {
    using A = decltype(arithmetic);
    A* to = loss.data<A>();
    std::vector<double> sums((n + kBlock - 1) / kBlock);
    ParallelForBlocks(n, kBlock, [&](size_t block, size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const A d = static_cast<A>(p[i]) - static_cast<A>(t[i]);
        if (each) {
          to[i] = d * d;
        } else {
          sums[block] += static_cast<double>(d) * d;
        }
      }
    });
    if (each) return;
    double sum = 0;
    for (const double s : sums) sum += s;
    *to = static_cast<A>(reduction == Reduction::kMean ? sum / static_cast<double>(n) : sum);
  });
  return loss;
}

Tensor MseBackward(const Tensor& prediction, const Tensor& target, const Seed& seed, Reduction reduction) {
  Check(prediction, target);
  const size_t n = prediction.elements();
  Tensor gradient = Tensor::Empty(prediction.device(), prediction.dtype(), prediction.shape());
  if (const auto* kernels = prediction.device().Kernels<MseKernels>()) {
    kernels->backward(prediction, target, seed, reduction, gradient);
    return gradient;
  }
  Visit(prediction, target, [&](const auto* p, const auto* t, auto arithmetic) {
    using A = decltype(arithmetic);
    using P = std::decay_t<decltype(*p)>;
    const A factor =
        static_cast<A>(2 * seed.value() / (reduction == Reduction::kMean ? static_cast<double>(n) : 1.0));
    P* to = gradient.data<P>();
    ParallelFor(n, kBlock, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) to[i] = P(factor * (static_cast<A>(p[i]) - static_cast<A>(t[i])));
    });
  });
  return gradient;
}

}  // namespace halftone::ops
