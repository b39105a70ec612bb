#include "tensor/ops/dropout/dropout.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/parallel.h"
#include "fp16/convert.h"
#include "tensor/ops/dropout/dropout_kernels.h"

namespace halftone::ops {
namespace {

constexpr size_t kGrain = 1 << 12;  // elements that are worth a thread
constexpr size_t kBlock = 256;      // that lie in a core's nearest cache, with their random bits

// Rng::Uniform, a multiple of 2^-24, is below p in float where its 24 bits are below this.
uint32_t Limit(double p) {
  return static_cast<uint32_t>(std::ceil(static_cast<double>(static_cast<float>(p)) * (1 << 24)));
}

double Scale(double p) { return 1 / (1 - p); }

// x and y are the n elements from `first` on; they may be the same.
template <typename A>
void ApplyBlock(const A* x, A scale, uint32_t limit, const Rng& rng, size_t first, size_t n, A* y) {
  uint32_t bits[kBlock];
  rng.Fill(first, bits, n);
  for (size_t i = 0; i < n; ++i) y[i] = bits[i] >> 8 < limit ? A(0) : x[i] * scale;
}

template <typename T>
void Apply(const T* x, double p, const Rng& rng, size_t begin, size_t end, T* y) {
  using A = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const A scale = static_cast<A>(Scale(p));
  const uint32_t limit = Limit(p);
  for (size_t first = begin; first < end; first += kBlock) {
    const size_t n = std::min(kBlock, end - first);
    if constexpr (std::is_same_v<T, A>) {
      ApplyBlock(x + first, scale, limit, rng, first, n, y + first);
    } else {
      A values[kBlock];
      Convert(x + first, values, n);
      ApplyBlock(values, scale, limit, rng, first, n, values);
      Convert(values, y + first, n);
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
  if (const auto* kernels = x.device().Kernels<DropoutKernels>()) {
    kernels->forward(x, Limit(p), Scale(p), rng, y);
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
