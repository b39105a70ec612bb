// The slow, obvious twin, and the only one for f64.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/ops/attention/implementations.h"

namespace halftone::ops {
namespace {

// Head h of batch item b: element (i, j) of its [length, head_width].
template <typename T>
class Head {
 public:
  Head(const AttentionProblem& p, const Columns& c, int64_t b, int64_t h)
      : row_(c.tensor.shape()[2]),
        first_(const_cast<T*>(c.tensor.data<T>()) + b * p.length * row_ + c.first + h * p.head_width) {}
  T& operator()(int64_t i, int64_t j) const { return first_[i * row_ + j]; }

 private:
  int64_t row_;
  T* first_;
};

// What dropout multiplies entry `index` of the probabilities with.
double Kept(const AttentionProblem& p, int64_t index) {
  if (p.dropout == 0) return 1;
  return p.stream.Uniform(static_cast<uint64_t>(index)) < static_cast<float>(p.dropout) ? 0
                                                                                        : 1 / (1 - p.dropout);
}

template <typename T>
void ForwardHead(const AttentionProblem& p, const Head<T>& q, const Head<T>& k, const Head<T>& v,
                 const int64_t* mask, const Head<T>& y, T* probabilities, int64_t first) {
  const int64_t n = p.length;
  std::vector<double> row(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i, probabilities += n, first += n) {
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t j = 0; j < n; ++j) {
      if (mask != nullptr && mask[j] == 0) continue;
      double score = 0;
      for (int64_t d = 0; d < p.head_width; ++d)
        score += static_cast<double>(q(i, d)) * static_cast<double>(k(j, d));
      row[j] = static_cast<double>(static_cast<T>(score * p.scale()));
      largest = std::max(largest, row[j]);
    }
    for (int64_t j = 0; j < n; ++j) {
      row[j] = mask != nullptr && mask[j] == 0 ? 0 : std::exp(row[j] - largest);
      sum += row[j];
    }
    for (int64_t j = 0; j < n; ++j) probabilities[j] = static_cast<T>(sum == 0 ? 0 : row[j] / sum);
    for (int64_t d = 0; d < p.head_width; ++d) {
      double value = 0;
      for (int64_t j = 0; j < n; ++j) {
        const T kept = static_cast<T>(static_cast<double>(probabilities[j]) * Kept(p, first + j));
        value += static_cast<double>(kept) * static_cast<double>(v(j, d));
      }
      y(i, d) = static_cast<T>(value);
    }
  }
}

template <typename T>
void BackwardHead(const AttentionProblem& p, const Head<T>& q, const Head<T>& k, const Head<T>& v,
                  const Head<T>& dy, const T* probabilities, int64_t first, const Head<T>& dq,
                  const Head<T>& dk, const Head<T>& dv) {
  const int64_t n = p.length, w = p.head_width;
  std::vector<double> dqs(n * w), dks(n * w), dvs(n * w), g(n);
  for (int64_t i = 0; i < n; ++i, probabilities += n, first += n) {
    double across = 0;
    for (int64_t j = 0; j < n; ++j) {
      const double kept = Kept(p, first + j), pij = static_cast<double>(probabilities[j]);
      double dp = 0;
      for (int64_t d = 0; d < w; ++d) {
        const double dyid = static_cast<double>(dy(i, d));
        dp += dyid * static_cast<double>(v(j, d));
        dvs[j * w + d] += static_cast<double>(static_cast<T>(pij * kept)) * dyid;
      }
      g[j] = static_cast<double>(static_cast<T>(dp)) * kept;
      across += g[j] * pij;
    }
    for (int64_t j = 0; j < n; ++j) {
      const double ds =
          static_cast<double>(static_cast<T>(static_cast<double>(probabilities[j]) * (g[j] - across))) *
          p.scale();
      for (int64_t d = 0; d < w; ++d) {
        dqs[i * w + d] += ds * static_cast<double>(k(j, d));
        dks[j * w + d] += ds * static_cast<double>(q(i, d));
      }
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t d = 0; d < w; ++d) {
      dq(i, d) = static_cast<T>(dqs[i * w + d]);
      dk(i, d) = static_cast<T>(dks[i * w + d]);
      dv(i, d) = static_cast<T>(dvs[i * w + d]);
    }
  }
}

void Forward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
             const Tensor& mask, Tensor* y, Tensor* probabilities) {
  VisitFloat(y->dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t first = (b * p.heads + h) * p.length * p.length;
        ForwardHead<T>(p, {p, q, b, h}, {p, k, b, h}, {p, v, b, h},
                       mask.defined() ? mask.data<int64_t>() + b * p.length : nullptr, {p, {*y}, b, h},
                       probabilities->data<T>() + first, first);
      }
    }
  });
}

void Backward(const AttentionProblem& p, const Columns& q, const Columns& k, const Columns& v,
              const Tensor& probabilities, const Tensor& dy, Columns* dq, Columns* dk, Columns* dv) {
  VisitFloat(dy.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t b = 0; b < p.batch; ++b) {
      for (int64_t h = 0; h < p.heads; ++h) {
        const int64_t first = (b * p.heads + h) * p.length * p.length;
        BackwardHead<T>(p, {p, q, b, h}, {p, k, b, h}, {p, v, b, h}, {p, {dy}, b, h},
                        probabilities.data<T>() + first, first, {p, *dq, b, h}, {p, *dk, b, h},
                        {p, *dv, b, h});
      }
    }
  });
}

}  // namespace

const AttentionImplementation kAttentionReference = {
    .name = "reference", .supports = [](DType) { return true; }, .forward = Forward, .backward = Backward};

}  // namespace halftone::ops
