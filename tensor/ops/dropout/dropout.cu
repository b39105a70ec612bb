#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/ops/dropout/dropout_kernels.h"

namespace halftone::ops {
namespace {

// A thread's elements are those of one block of random numbers.
constexpr int kPacked = 4;
template <typename T>
using Packed = cuda::Packed<T, kPacked>;

template <typename T>
void ForwardOf(const Tensor& x, uint32_t limit, double scale, const Rng& rng, Tensor& y) {
  using A = cuda::Wide<T>;
  const T* from = x.device_data<T>();
  T* to = y.device_data<T>();
  const A factor = static_cast<A>(scale);
  const int64_t n = x.elements();
  cuda::ForEach(x.device(), (n + kPacked - 1) / kPacked, [=] __device__(int64_t block) {
    const PhiloxBlock bits = rng.Block(static_cast<uint64_t>(block));
    const int64_t first = block * kPacked;
    const auto apply = [&](const T& value, int k) {
      return bits[k] >> 8 < limit ? T(A(0)) : cuda::Narrow<T>(cuda::Load(&value) * factor);
    };
    if (first + kPacked <= n) {
      const Packed<T> pack = reinterpret_cast<const Packed<T>*>(from)[block];
      Packed<T> result;
      for (int k = 0; k < kPacked; ++k) result.element[k] = apply(pack.element[k], k);
      reinterpret_cast<Packed<T>*>(to)[block] = result;
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
