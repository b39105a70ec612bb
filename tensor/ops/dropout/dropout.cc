#include "tensor/ops/dropout/dropout.h"

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"

namespace halftone::ops {
namespace {

constexpr size_t kGrain = 1 << 12;  // elements that are worth a thread; a multiple of a Philox block's four

template <typename T>
void Apply(const T* x, double p, const Rng& rng, size_t begin, size_t end, T* y) {
  using A = std::conditional_t<std::is_same_v<T, double>, double, float>;
  // u < p for u a multiple of 2^-24, as in Rng::ToUniform.
  const float threshold = static_cast<float>(p);
  const A scale = static_cast<A>(1 / (1 - p));
  for (size_t first = begin; first < end; first += 4) {
    const PhiloxBlock bits = rng.Block(first / 4);
    const size_t count = std::min<size_t>(4, end - first);
    for (size_t j = 0; j < count; ++j) {
      const bool drop = Rng::ToUniform(bits[j]) < threshold;
      y[first + j] = drop ? T(A(0)) : T(A(x[first + j]) * scale);
    }
  }
}

}  // namespace

Tensor DropoutForward(const Tensor& x, double p, const Rng& rng) {
  HALFTONE_CHECK(IsFloat(x.dtype()) && p >= 0 && p <= 1);
  if (p == 0) return x;
  Tensor y = Tensor::Empty(x.device(), x.dtype(), x.shape());
  if (p == 1) {
    y.FillZero();
    return y;
  }
  VisitFloat(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ParallelFor(x.elements(), kGrain, [&](size_t begin, size_t end) { Apply(from, p, rng, begin, end, to); });
  });
  return y;
}

Tensor DropoutBackward(const Tensor& dy, double p, const Rng& rng) { return DropoutForward(dy, p, rng); }

}  // namespace halftone::ops
