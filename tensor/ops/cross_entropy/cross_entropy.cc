#include "tensor/ops/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "base/parallel.h"
#include "tensor/ops/cross_entropy/cross_entropy_kernels.h"
#include "tensor/ops/cross_entropy/rounded_softmax.h"

namespace halftone::ops {
namespace {

template <typename T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

struct Problem {
  int64_t rows, classes;
  size_t grain;  // rows that are worth a thread
};

Problem Check(const Tensor& logits, const Tensor& labels) {
  HALFTONE_CHECK(IsFloat(logits.dtype()) && logits.shape().rank() == 2);
  const int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  HALFTONE_CHECK(classes >= 1 && labels.shape() == Shape{rows});
  return {
      .rows = rows, .classes = classes, .grain = static_cast<size_t>(std::max<int64_t>(1, 4096 / classes))};
}

// For the host; kernels check them as they go.
void CheckLabels(const Tensor& labels, int64_t classes) {
  for (const int64_t label : labels.span<int64_t>()) HALFTONE_CHECK(label >= 0 && label < classes);
}

// Null where the host computes it.
const CrossEntropyKernels* KernelsFor(const Tensor& logits, const CrossEntropyOptions& options) {
  return options.softmax.has_value() ? nullptr : logits.device().Kernels<CrossEntropyKernels>();
}

template <typename T>
std::vector<double> RoundedRow(const CrossEntropyOptions& options, const T* z, int64_t classes) {
  std::vector<double> p(z, z + classes);
  RoundedSoftmax(*options.softmax, p);
  return p;
}

template <typename T>
double RoundedLoss(const CrossEntropyOptions& options, const T* z, int64_t classes, int64_t label) {
  const std::vector<double> p = RoundedRow(options, z, classes);
  const auto loss_of = [](double probability) {
    const double log = std::log(probability);
    return log < -100 ? 100 : -log;  // a NaN stays
  };
  double mean = 0;
  for (const double v : p) mean += loss_of(v) / static_cast<double>(classes);
  const double s = options.label_smoothing;
  return s == 0 ? loss_of(p[label]) : (1 - s) * loss_of(p[label]) + s * mean;
}

DType LossDType(const Tensor& logits) { return logits.dtype() == DType::kF64 ? DType::kF64 : DType::kF32; }

}  // namespace

CrossEntropyResult CrossEntropyForward(const Tensor& logits, const Tensor& labels,
                                       const CrossEntropyOptions& options) {
  const Problem problem = Check(logits, labels);
  const int64_t classes = problem.classes;
  const bool each = options.reduction == Reduction::kNone;
  CrossEntropyResult result = {
      .loss = Tensor::Empty(logits.device(), LossDType(logits), each ? Shape{problem.rows} : Shape{}),
      .log_sum_exp = Tensor::Empty(logits.device(), LossDType(logits), {problem.rows, 2})};
  if (const auto* kernels = KernelsFor(logits, options)) {
    kernels->forward(logits, labels, options, result);
    return result;
  }
  CheckLabels(labels, classes);
  VisitFloat(logits.dtype(), [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const A smoothing = static_cast<A>(options.label_smoothing);
    const T* z = logits.data<T>();
    const int64_t* label = labels.data<int64_t>();
    A* log_sum_exp = result.log_sum_exp.data<A>();
    std::vector<A> losses(problem.rows);
    ParallelFor(problem.rows, problem.grain, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        const T* row = z + r * classes;
        // Without the maximum, exp would overflow; an infinite one gives NaN, as it should.
        A maximum = A(row[0]);
        for (int64_t c = 1; c < classes; ++c) maximum = std::max(maximum, A(row[c]));
        A sum = 0, off = 0;  // of exp(z - maximum); of z - maximum
        for (int64_t c = 0; c < classes; ++c) {
          const A shifted = A(row[c]) - maximum;
          sum += std::exp(shifted);
          off += shifted;
        }
        // log_sum_exp - z, where the maximum has cancelled.
        const A log_sum = std::log(sum);
        const A of_label = log_sum - (A(row[label[r]]) - maximum);
        losses[r] = of_label;
        if (smoothing != 0) {
          const A of_mean = log_sum - off / static_cast<A>(classes);
          losses[r] = (1 - smoothing) * of_label + smoothing * of_mean;
        }
        if (options.softmax.has_value()) {
          losses[r] = static_cast<A>(RoundedLoss(options, row, classes, label[r]));
        }
        log_sum_exp[2 * r] = maximum;
        log_sum_exp[2 * r + 1] = log_sum;
      }
    });
    if (each) {
      std::copy(losses.begin(), losses.end(), result.loss.data<A>());
      return;
    }
    double sum = 0;
    for (const A loss : losses) sum += loss;
    if (options.reduction == Reduction::kMean) sum /= static_cast<double>(problem.rows);
    *result.loss.data<A>() = static_cast<A>(sum);
  });
  return result;
}

Tensor CrossEntropyBackward(const Tensor& logits, const Tensor& labels, const Tensor& log_sum_exp,
                            const Seed& seed, const CrossEntropyOptions& options) {
  const Problem problem = Check(logits, labels);
  HALFTONE_CHECK((log_sum_exp.shape() == Shape{problem.rows, 2}));
  const int64_t classes = problem.classes;
  Tensor gradient = Tensor::Empty(logits.device(), logits.dtype(), logits.shape());
  if (const auto* kernels = KernelsFor(logits, options)) {
    kernels->backward(logits, labels, log_sum_exp, seed, options, gradient);
    return gradient;
  }
  CheckLabels(labels, classes);
  VisitFloat(logits.dtype(), [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const double rows = options.reduction == Reduction::kMean ? static_cast<double>(problem.rows) : 1.0;
    const A factor = static_cast<A>(seed.value() / rows);
    const A elsewhere = static_cast<A>(options.label_smoothing / static_cast<double>(classes));
    const A at_label = static_cast<A>(1 - options.label_smoothing);
    const T* z = logits.data<T>();
    const int64_t* label = labels.data<int64_t>();
    const A* lse = log_sum_exp.data<A>();
    T* dz = gradient.data<T>();
    ParallelFor(problem.rows, problem.grain, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        std::vector<double> rounded;
        if (options.softmax.has_value()) rounded = RoundedRow(options, z + r * classes, classes);
        for (int64_t c = 0; c < classes; ++c) {
          const size_t i = r * classes + c;
          const A target = c == label[r] ? at_label + elsewhere : elsewhere;
          const A softmax =
              rounded.empty() ? std::exp(A(z[i]) - lse[2 * r] - lse[2 * r + 1]) : static_cast<A>(rounded[c]);
          dz[i] = T(factor * (softmax - target));
        }
      }
    });
  });
  return gradient;
}

Tensor CountCorrect(const Tensor& logits, const Tensor& labels) {
  const Problem problem = Check(logits, labels);
  Tensor count = Tensor::Empty(logits.device(), DType::kI64, {});
  if (const auto* kernels = logits.device().Kernels<CrossEntropyKernels>()) {
    kernels->count_correct(logits, labels, count);
    return count;
  }
  CheckLabels(labels, problem.classes);
  int64_t correct = 0;
  VisitFloat(logits.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* z = logits.data<T>();
    for (int64_t r = 0; r < problem.rows; ++r, z += problem.classes) {
      const bool has_nan = std::any_of(z, z + problem.classes, [](T v) { return v != v; });
      const int64_t best = std::max_element(z, z + problem.classes) - z;
      correct += !has_nan && best == labels.data<int64_t>()[r];
    }
  });
  *count.data<int64_t>() = correct;
  return count;
}

}  // namespace halftone::ops
