#include "tensor/ops/patches/patches.h"

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/patches/patches_kernels.h"

namespace halftone::ops {
namespace {

// Calls move(pixel, feature) for the indices of every value of [N, H, W, C] images, on all threads.
template <typename F>
void ForEachValue(const Shape& images, int64_t size, const F& move) {
  const int64_t rows = images[1] / size, columns = images[2] / size, channels = images[3];
  ParallelFor(images[0] * rows, 8, [&](size_t begin, size_t end) {
    for (int64_t strip = begin; strip < static_cast<int64_t>(end); ++strip) {
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t patch = (strip * columns + j) * channels * size * size;
        for (int64_t a = 0; a < size; ++a) {
          const int64_t pixels = ((strip * size + a) * columns + j) * size * channels;
          for (int64_t b = 0; b < size; ++b) {
            for (int64_t c = 0; c < channels; ++c) {
              move(pixels + b * channels + c, patch + (c * size + a) * size + b);
            }
          }
        }
      }
    }
  });
}

}  // namespace

Tensor PatchesForward(const Tensor& x, int size) {
  const Shape& s = x.shape();
  HALFTONE_CHECK(s.rank() == 4 && size >= 1 && s[1] % size == 0 && s[2] % size == 0);
  Tensor y = Tensor::Empty(x.device(), x.dtype(), {s[0], s[1] / size, s[2] / size, s[3] * size * size});
  if (const auto* kernels = x.device().Kernels<PatchesKernels>()) {
    kernels->forward(x, size, y);
    return y;
  }
  VisitFloat(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ForEachValue(s, size, [=](int64_t pixel, int64_t feature) { to[feature] = from[pixel]; });
  });
  return y;
}

Tensor PatchesBackward(const Tensor& dy, int size, int64_t channels) {
  const Shape& s = dy.shape();
  HALFTONE_CHECK(s.rank() == 4 && size >= 1 && s[3] == channels * size * size);
  Tensor dx = Tensor::Empty(dy.device(), dy.dtype(), {s[0], s[1] * size, s[2] * size, channels});
  if (const auto* kernels = dy.device().Kernels<PatchesKernels>()) {
    kernels->backward(dy, size, dx);
    return dx;
  }
  VisitFloat(dy.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = dy.data<T>();
    T* to = dx.data<T>();
    ForEachValue(dx.shape(), size, [=](int64_t pixel, int64_t feature) { to[pixel] = from[feature]; });
  });
  return dx;
}

}  // namespace halftone::ops
