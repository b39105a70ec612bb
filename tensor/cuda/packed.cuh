// Neighbouring elements in one load or store of 16 bytes. To be included where kernel.cuh may be.
#ifndef HALFTONE_TENSOR_CUDA_PACKED_CUH_
#define HALFTONE_TENSOR_CUDA_PACKED_CUH_

#include "tensor/cuda/kernel.cuh"
#include "tensor/dtype.h"

namespace halftone::cuda {

template <typename T>
inline constexpr int kPacked = 16 / static_cast<int>(sizeof(T));

template <typename T, int kN>
struct alignas(kN * sizeof(T)) Packed {
  T element[kN];
};

// kN elements from `from` on, whose index in a tensor's memory is a multiple of kN.
template <int kN, typename T, typename A>
__device__ inline void LoadPacked(const T* from, A (&to)[kN]) {
  const auto packed = *reinterpret_cast<const Packed<T, kN>*>(from);
  for (int i = 0; i < kN; ++i) to[i] = Load(&packed.element[i]);
}

template <int kN, typename T>
__device__ inline void StorePacked(T* to, const Wide<T> (&from)[kN]) {
  Packed<T, kN> packed;
  for (int i = 0; i < kN; ++i) packed.element[i] = Narrow<T>(from[i]);
  *reinterpret_cast<Packed<T, kN>*>(to) = packed;
}

// Calls f(std::integral_constant) with how many elements of T are taken at a time from rows of `n`: as many
// as one load has, or one where these would not fill a row.
template <typename T, typename F>
void VisitPacked(int64_t n, const F& f) {
  if (n % kPacked<T> == 0) return f(std::integral_constant<int, kPacked<T>>());
  f(std::integral_constant<int, 1>());
}

// Calls f(T(), std::integral_constant) with the C++ type of a float dtype, and the same for T.
template <typename F>
void VisitPacked(DType dtype, int64_t n, const F& f) {
  VisitFloat(dtype,
             [&](auto type) { VisitPacked<decltype(type)>(n, [&](auto packed) { f(type, packed); }); });
}

// The same for what T is computed in: where numbers of 16 bits stand beside those of 32.
template <typename F>
void VisitPackedWide(DType dtype, int64_t n, const F& f) {
  VisitFloat(dtype,
             [&](auto type) { VisitPacked<Wide<decltype(type)>>(n, [&](auto packed) { f(type, packed); }); });
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_PACKED_CUH_
