#include <cstdint>
#include <type_traits>

#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/ops/cast/cast_kernels.h"

namespace halftone::ops {
namespace {

constexpr int kPacked = 4;  // that a thread reads and writes at a time
template <typename T>
using Packed = cuda::Packed<T, kPacked>;

// To or from double: narrowed in one rounding too.
template <typename To, typename From>
__device__ To CastOne(const From& from) {
  if constexpr (std::is_same_v<From, double> || std::is_same_v<To, double>) {
    return static_cast<To>(from);
  } else {
    return cuda::Narrow<To>(cuda::Load(&from));
  }
}

template <typename From, typename To>
void CastOf(const Tensor& x, Tensor& y) {
  const From* from = x.device_data<From>();
  To* to = y.device_data<To>();
  const int64_t n = x.elements(), packs = n / kPacked;
  cuda::ForEach(x.device(), packs + n % kPacked, [=] __device__(int64_t i) {
    if (i < packs) {
      const Packed<From> pack = reinterpret_cast<const Packed<From>*>(from)[i];
      Packed<To> result;
      for (int k = 0; k < kPacked; ++k) result.element[k] = CastOne<To>(pack.element[k]);
      reinterpret_cast<Packed<To>*>(to)[i] = result;
    } else {  // what is left, one by one
      const int64_t at = packs * kPacked + (i - packs);
      to[at] = CastOne<To>(from[at]);
    }
  });
}

void Cast(const Tensor& x, Tensor& y) {
  VisitFloat(x.dtype(), [&](auto from_type) {
    VisitFloat(y.dtype(), [&](auto to_type) {
      using From = decltype(from_type);
      using To = decltype(to_type);
      if constexpr (!std::is_same_v<From, To>) CastOf<From, To>(x, y);
    });
  });
}

}  // namespace

const CastKernels kCastKernels = {.cast = Cast};

}  // namespace halftone::ops
