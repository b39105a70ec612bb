#include "tensor/ops/bce/bce.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/bce/bce_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kBlock = 1 << 12;  // elements summed by one thread, whatever the number of threads

void Check(const Tensor& input, const Tensor& target) {
  HALFTONE_CHECK(IsFloat(input.dtype()) && IsFloat(target.dtype()) && input.shape() == target.shape());
}

Tensor EmptyLoss(const Tensor& input, Reduction reduction) {
  return Tensor::Empty(input.device(), input.dtype() == DType::kF64 ? DType::kF64 : DType::kF32,
                       reduction == Reduction::kNone ? input.shape() : Shape{});
}

// Calls body(input, target, A()), A being the arithmetic's type.
template <typename F>
void Visit(const Tensor& input, const Tensor& target, F body) {
  VisitFloat(input.dtype(), [&](auto x) {
    VisitFloat(target.dtype(), [&](auto t) {
      using X = decltype(x);
      using A = std::conditional_t<std::is_same_v<X, double>, double, float>;
      body(input.data<X>(), target.data<decltype(t)>(), A());
    });
  });
}

// loss(x, t) of each element, reduced.
template <typename F>
Tensor Forward(const Tensor& input, const Tensor& target, Reduction reduction, const F& loss) {
  const size_t n = input.elements();
  const bool each = reduction == Reduction::kNone;
  Tensor result = EmptyLoss(input, reduction);
  Visit(input, target, [&](const auto* x, const auto* t, auto arithmetic) {
    using A = decltype(arithmetic);
    A* to = result.data<A>();
    std::vector<double> sums((n + kBlock - 1) / kBlock);
    ParallelForBlocks(n, kBlock, [&](size_t block, size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const A l = loss(static_cast<A>(x[i]), static_cast<A>(t[i]));
        if (each) {
          to[i] = l;
        } else {
          sums[block] += static_cast<double>(l);
        }
      }
    });
    if (each) return;
    double sum = 0;
    for (const double s : sums) sum += s;
    *to = static_cast<A>(reduction == Reduction::kMean ? sum / static_cast<double>(n) : sum);
  });
  return result;
}

// derivative(x, t) of each element, times the seed.
template <typename F>
Tensor Backward(const Tensor& input, const Tensor& target, const Seed& seed, Reduction reduction,
                const F& derivative) {
  const size_t n = input.elements();
  Tensor gradient = Tensor::Empty(input.device(), input.dtype(), input.shape());
  Visit(input, target, [&](const auto* x, const auto* t, auto arithmetic) {
    using A = decltype(arithmetic);
    using X = std::decay_t<decltype(*x)>;
    const A factor =
        static_cast<A>(reduction == Reduction::kMean ? seed.value() / static_cast<double>(n) : seed.value());
    X* to = gradient.data<X>();
    ParallelFor(n, kBlock, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        to[i] = X(factor * derivative(static_cast<A>(x[i]), static_cast<A>(t[i])));
      }
    });
  });
  return gradient;
}

template <typename A>
A Softplus(A x) {
  return std::max(x, A(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <typename A>
A Sigmoid(A x) {
  const A e = std::exp(-std::abs(x));
  return (x >= 0 ? A(1) : e) / (A(1) + e);
}

}  // namespace

Tensor BinaryTargets(const Tensor& labels, double smoothing) {
  HALFTONE_CHECK(labels.shape().rank() == 1);
  const int64_t n = labels.elements();
  Tensor targets = Tensor::Empty(labels.device(), DType::kF32, {n, 1});
  if (const auto* kernels = labels.device().Kernels<BceKernels>()) {
    kernels->targets(labels, smoothing, targets);
    return targets;
  }
  const int64_t* label = labels.data<int64_t>();
  float* to = targets.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    HALFTONE_CHECK(label[i] == 0 || label[i] == 1);
    to[i] = BinaryTarget(label[i], smoothing);
  }
  return targets;
}

Tensor CountBinaryCorrect(const Tensor& logits, const Tensor& labels) {
  HALFTONE_CHECK(labels.shape().rank() == 1 && logits.shape() == Shape({labels.elements(), 1}));
  Tensor count = Tensor::Empty(logits.device(), DType::kI64, {});
  if (const auto* kernels = logits.device().Kernels<BceKernels>()) {
    kernels->count_correct(logits, labels, count);
    return count;
  }
  const int64_t* label = labels.data<int64_t>();
  *count.data<int64_t>() = VisitFloat(logits.dtype(), [&](auto type) {
    const auto* z = logits.data<decltype(type)>();
    int64_t correct = 0;
    for (int64_t i = 0; i < labels.elements(); ++i)
      correct += BinaryCorrect(static_cast<double>(z[i]), label[i]);
    return correct;
  });
  return count;
}

Tensor BceWithLogitsForward(const Tensor& logits, const Tensor& target, const BceWithLogitsOptions& options) {
  Check(logits, target);
  if (const auto* kernels = logits.device().Kernels<BceKernels>()) {
    Tensor loss = EmptyLoss(logits, options.reduction);
    kernels->forward_with_logits(logits, target, options, loss);
    return loss;
  }
  return Forward(logits, target, options.reduction, [&](auto x, auto t) {
    using A = decltype(x);
    return static_cast<A>(options.pos_weight) * t * Softplus(-x) + (A(1) - t) * Softplus(x);
  });
}

Tensor BceWithLogitsBackward(const Tensor& logits, const Tensor& target, const Seed& seed,
                             const BceWithLogitsOptions& options) {
  Check(logits, target);
  if (const auto* kernels = logits.device().Kernels<BceKernels>()) {
    Tensor gradient = Tensor::Empty(logits.device(), logits.dtype(), logits.shape());
    kernels->backward_with_logits(logits, target, seed, options, gradient);
    return gradient;
  }
  return Backward(logits, target, seed, options.reduction, [&](auto x, auto t) {
    using A = decltype(x);
    return (A(1) - t) * Sigmoid(x) - static_cast<A>(options.pos_weight) * t * Sigmoid(-x);
  });
}

Tensor BceForward(const Tensor& probabilities, const Tensor& target, Reduction reduction) {
  Check(probabilities, target);
  if (const auto* kernels = probabilities.device().Kernels<BceKernels>()) {
    Tensor loss = EmptyLoss(probabilities, reduction);
    kernels->forward(probabilities, target, reduction, loss);
    return loss;
  }
  return Forward(probabilities, target, reduction, [](auto p, auto t) {
    using A = decltype(p);
    const A log_p = std::max(std::log(p), A(-100)), log_q = std::max(std::log1p(-p), A(-100));
    return (t - A(1)) * log_q - t * log_p;
  });
}

Tensor BceBackward(const Tensor& probabilities, const Tensor& target, const Seed& seed, Reduction reduction) {
  Check(probabilities, target);
  if (const auto* kernels = probabilities.device().Kernels<BceKernels>()) {
    Tensor gradient = Tensor::Empty(probabilities.device(), probabilities.dtype(), probabilities.shape());
    kernels->backward(probabilities, target, seed, reduction, gradient);
    return gradient;
  }
  return Backward(probabilities, target, seed, reduction, [](auto p, auto t) {
    using A = decltype(p);
    // PyTorch keeps the bound in float whatever the dtype.
    return (p - t) / std::max((A(1) - p) * p, static_cast<A>(1e-12f));
  });
}

}  // namespace halftone::ops
