// The slow, obvious twin, and the only one for f64.
#include <cmath>
#include <type_traits>
#include <vector>

#include "tensor/ops/max_pool/max_pool_implementations.h"

namespace halftone::ops {
namespace {

// Calls body(n, oh, ow, c, i) for every output element, whose index is i.
template <typename F>
void ForOutputs(const MaxPoolProblem& p, F body) {
  int64_t i = 0;
  for (int64_t n = 0; n < p.n; ++n) {
    for (int64_t oh = 0; oh < p.out_h; ++oh) {
      for (int64_t ow = 0; ow < p.out_w; ++ow) {
        for (int64_t c = 0; c < p.c; ++c) body(n, oh, ow, c, i++);
      }
    }
  }
}

void Forward(const MaxPoolProblem& p, const void* x, void* y, uint8_t* index) {
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    const T* px = static_cast<const T*>(x);
    ForOutputs(p, [&](int64_t n, int64_t oh, int64_t ow, int64_t c, int64_t i) {
      const T* best = nullptr;
      for (int64_t h = p.First(oh); h < p.Last(oh, p.h); ++h) {
        for (int64_t w = p.First(ow); w < p.Last(ow, p.w); ++w) {
          const T* candidate = px + ((n * p.h + h) * p.w + w) * p.c + c;
          if (best == nullptr || *candidate > *best || *candidate != *candidate) {
            best = candidate;
            index[i] = static_cast<uint8_t>((h - p.Start(oh)) * p.window + w - p.Start(ow));
          }
        }
      }
      static_cast<T*>(y)[i] = *best;
    });
  });
}

void Backward(const MaxPoolProblem& p, const void* dy, const uint8_t* index, void* dx) {
  VisitFloat(p.dtype, [&](auto type) {
    using T = decltype(type);
    using A = std::conditional_t<std::is_same_v<T, double>, double, float>;
    std::vector<A> sums(p.n * p.h * p.w * p.c);
    ForOutputs(p, [&](int64_t n, int64_t oh, int64_t ow, int64_t c, int64_t i) {
      const int64_t h = p.Start(oh) + index[i] / p.window, w = p.Start(ow) + index[i] % p.window;
      sums[((n * p.h + h) * p.w + w) * p.c + c] += A(static_cast<const T*>(dy)[i]);
    });
    for (size_t i = 0; i < sums.size(); ++i) static_cast<T*>(dx)[i] = T(sums[i]);
  });
}

}  // namespace

const MaxPoolImplementation kReferenceMaxPool = {.name = "reference",
                                                 .supports = [](const MaxPoolProblem&) { return true; },
                                                 .forward = Forward,
                                                 .backward = Backward};

}  // namespace halftone::ops
