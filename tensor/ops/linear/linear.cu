// By cuBLASLt.
#include "tensor/cuda/cublas.h"
#include "tensor/ops/linear/bias_kernels.h"
#include "tensor/ops/linear/linear_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Product;

// y = x w^T.
void Forward(const LinearProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor& y) {
  Product product = {.in = p.dtype,
                     .out = p.dtype,
                     .m = p.m,
                     .k = p.k,
                     .n = p.n,
                     .transpose_b = true,
                     .a = {.row = p.k},
                     .b = {.row = p.k},
                     .c = {.row = p.n}};
  const auto multiply = [&](const void* with_bias, Tensor& to) {
    cuda::Multiply(y.device(), product, x.device_raw(), w.device_raw(), with_bias, to.device_raw());
  };
  if (!bias.defined()) return multiply(nullptr, y);
  if (p.dtype == DType::kF64) {  // cuBLASLt adds none
    multiply(nullptr, y);
    return kBiasKernels.add(y, bias, y);
  }
  if (bias.dtype() == p.dtype) {
    product.bias = true;
    return multiply(bias.device_raw(), y);
  }
  // cuBLASLt would want the bias in 16 bits: the sums are rounded after it is added, not before.
  product.out = DType::kF32;
  Tensor sums = Tensor::Empty(y.device(), DType::kF32, y.shape());
  multiply(nullptr, sums);
  kBiasKernels.add(sums, bias, y);
}

// dx = dy w.
void BackwardData(const LinearProblem& p, const Tensor& dy, const Tensor& w, Tensor& dx) {
  const Product product = {.in = p.dtype,
                           .out = p.dtype,
                           .m = p.m,
                           .k = p.n,
                           .n = p.k,
                           .a = {.row = p.n},
                           .b = {.row = p.k},
                           .c = {.row = p.k}};
  cuda::Multiply(dx.device(), product, dy.device_raw(), w.device_raw(), nullptr, dx.device_raw());
}

// dw = dy^T x.
void BackwardWeights(const LinearProblem& p, const Tensor& x, const Tensor& dy, WeightGradients& grads) {
  const Product product = {.in = p.dtype,
                           .out = grads.dw.dtype(),
                           .m = p.n,
                           .k = p.m,
                           .n = p.k,
                           .transpose_a = true,
                           .a = {.row = p.n},
                           .b = {.row = p.k},
                           .c = {.row = p.k}};
  cuda::Multiply(x.device(), product, dy.device_raw(), x.device_raw(), nullptr, grads.dw.device_raw());
  if (grads.db.defined()) kBiasKernels.gradient(dy, grads.db);
}

}  // namespace

const LinearKernels kLinearKernels = {
    .forward = Forward, .backward_data = BackwardData, .backward_weights = BackwardWeights};

}  // namespace halftone::ops
