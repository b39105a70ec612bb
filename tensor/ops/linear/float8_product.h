// From linear maps of 8-bit floats to products of their codes, which a library multiplies.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_PRODUCT_H_
#define HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_PRODUCT_H_

#include <cstdint>

#include "tensor/ops/linear/bias_kernels.h"
#include "tensor/ops/linear/float8.h"
#include "tensor/ops/linear/float8_kernels.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct Float8CodeKernels {
  // codes: uint8 [M, N] of factor.values [M, N], or its transpose [N, M]. An infinity becomes one, or NaN
  // where the format has none.
  void (*encode)(const Factor& factor, bool transpose, Tensor& codes);
};

extern const Float8CodeKernels kFloat8CodeKernels;

// c [m, n] = scale_a scale_b a b^T, of codes a [m, k] and b [n, k].
struct Float8Product {
  int64_t m, n, k;
  FloatFormat format_a, format_b;
  Tensor a, b, scale_a, scale_b;
};
// False: it has nothing for that, and nothing was done.
using MultiplyFloat8 = bool (*)(const Float8Product& product, Tensor& c);

// The sum over what is `inner` in both, with the kernels of a device: each is [rows, inner], or [inner,
// rows].
inline bool MultiplyFactors(MultiplyFloat8 multiply, const Factor& a, bool inner_first_a, const Factor& b,
                            bool inner_first_b, Tensor& c) {
  constexpr int64_t kMultiple = 16;  // what the hardware asks for
  const auto takes = [](const Factor& f) {
    return f.values.shape()[0] % kMultiple == 0 && f.values.shape()[1] % kMultiple == 0;
  };
  const auto is_e5m2 = [](const Factor& f) { return f.float8->format.mantissa_bits == 2; };
  if (!takes(a) || !takes(b) || (is_e5m2(a) && is_e5m2(b))) return false;
  const auto codes = [](const Factor& f, bool inner_first) {
    const int64_t first = f.values.shape()[0], last = f.values.shape()[1];
    const Shape shape = inner_first ? Shape({last, first}) : Shape({first, last});
    Tensor t = Tensor::Empty(f.values.device(), DType::kU8, shape);
    kFloat8CodeKernels.encode(f, inner_first, t);
    return t;
  };
  const Tensor codes_a = codes(a, inner_first_a), codes_b = codes(b, inner_first_b);
  return multiply({.m = codes_a.shape()[0],
                   .n = codes_b.shape()[0],
                   .k = codes_a.shape()[1],
                   .format_a = a.float8->format,
                   .format_b = b.float8->format,
                   .a = codes_a,
                   .b = codes_b,
                   .scale_a = a.float8->scale,
                   .scale_b = b.float8->scale},
                  c);
}

template <MultiplyFloat8 kMultiply>
constexpr Float8LinearKernels Float8LinearKernelsBy() {
  return {.forward =
              [](const Factor& x, const Factor& w, const Tensor& bias, Tensor& y) {
                if (!MultiplyFactors(kMultiply, x, false, w, false, y)) return false;
                if (bias.defined()) kBiasKernels.add(y, bias, y);
                return true;
              },
          .backward_data = [](const Factor& dy, const Factor& w,
                              Tensor& dx) { return MultiplyFactors(kMultiply, dy, false, w, true, dx); },
          .backward_weights =
              [](const Factor& x, const Factor& dy, WeightGradients& grads) {
                if (!MultiplyFactors(kMultiply, dy, true, x, true, grads.dw)) return false;
                if (grads.db.defined()) kBiasKernels.gradient(dy.values, grads.db);
                return true;
              }};
}

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_PRODUCT_H_
