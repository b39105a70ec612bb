#include "tensor/ops/linear/float8_product.h"

#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/transpose.cuh"

#ifdef __CUDACC__
#include <cuda_fp8.h>
#endif

namespace halftone::ops {
namespace {

// x is a value of the format times the scale, but for the rounding of that product, which is far below half a
// unit of the format.
__device__ uint8_t CodeOf(const FloatFormat& format, float x, float scale) {
  const float value = x / scale;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  return __nv_cvt_float_to_fp8(value, __NV_NOSAT, format.mantissa_bits == 2 ? __NV_E5M2 : __NV_E4M3);
#else
  return static_cast<uint8_t>(Encode(format, value, Rounding::kNearestEven, Overflow::kInfinity));
#endif
}

void EncodeFactor(const Factor& factor, bool transpose, Tensor& codes) {
  const FloatFormat format = factor.float8->format;
  const float* scale = factor.float8->scale.device_data<float>();
  const float* from = factor.values.device_data<float>();
  auto* to = codes.device_data<uint8_t>();
  const auto code = [=] __device__(int64_t i) { return CodeOf(format, from[i], *scale); };
  if (transpose) {
    cuda::Transpose(codes.device(), 1, factor.values.shape()[0], factor.values.shape()[1], code, to);
  } else {
    cuda::ForEach(codes.device(), codes.elements(), [=] __device__(int64_t i) { to[i] = code(i); });
  }
}

}  // namespace

const Float8CodeKernels kFloat8CodeKernels = {.encode = EncodeFactor};

}  // namespace halftone::ops
