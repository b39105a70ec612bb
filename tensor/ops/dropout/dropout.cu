#include <algorithm>
#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/dropout/dropout_kernels.h"

namespace halftone::ops {
namespace {

// A thread's elements are those of one block of random numbers.
constexpr int64_t kPack = 4;
template <typename T>
struct alignas(std::min<size_t>(16, kPack * sizeof(T))) Pack {
  T values[kPack];
};

template <typename T>
void ForwardOf(const Tensor& x, uint32_t limit, double scale, const Rng& rng, Tensor& y) {
  using A = cuda::Wide<T>;
  const T* from = x.device_data<T>();
  T* to = y.device_data<T>();
  const A factor = static_cast<A>(scale);
  const int64_t n = x.elements();
  cuda::ForEach(x.device(), (n + kPack - 1) / kPack, [=] __device__(int64_t block) {
    const PhiloxBlock bits = rng.Block(static_cast<uint64_t>(block));
    const int64_t first = block * kPack;
    const auto apply = [&](const T& value, int k) {
      return bits[k] >> 8 < limit ? T(A(0)) : cuda::Narrow<T>(cuda::Load(&value) * factor);
    };
    if (first + kPack <= n) {
      const Pack<T> pack = reinterpret_cast<const Pack<T>*>(from)[block];
      Pack<T> result;
      for (int k = 0; k < kPack; ++k) result.values[k] = apply(pack.values[k], k);
      reinterpret_cast<Pack<T>*>(to)[block] = result;
    } else {
      for (int k = 0; first + k < n; ++k) to[first + k] = apply(from[first + k], k);
    }
  });
}

}  // namespace

const DropoutKernels kDropoutKernels = {
    .forward =
        [](const Tensor& x, uint32_t limit, double scale, const Rng& rng, Tensor& y) {
          VisitFloat(x.dtype(), [&](auto type) { ForwardOf<decltype(type)>(x, limit, scale, rng, y); });
        },
};

}  // namespace halftone::ops
