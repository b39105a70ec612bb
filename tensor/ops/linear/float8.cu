// By cuBLASLt.
#include "tensor/cuda/cublas.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/ops/linear/float8_product.h"

namespace halftone::ops {
namespace {

bool Multiply(const Float8Product& p, Tensor& c) {
  const auto matrix = [](const FloatFormat& format, const Tensor& codes, const Tensor& scale) {
    return cuda::Float8Matrix{
        .e5m2 = format.mantissa_bits == 2, .codes = codes.device_raw(), .scale = scale.device_data<float>()};
  };
  return cuda::MultiplyFloat8(c.device(), p.m, p.n, p.k, matrix(p.format_a, p.a, p.scale_a),
                              matrix(p.format_b, p.b, p.scale_b), c.device_data<float>());
}

}  // namespace

const Float8LinearKernels kFloat8LinearKernels = Float8LinearKernelsBy<Multiply>();

}  // namespace halftone::ops
