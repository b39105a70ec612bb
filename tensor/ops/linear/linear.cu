// By cuBLASLt.
#include "tensor/cuda/cublas.h"
#include "tensor/ops/cast/cast.h"
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
  const auto multiply = [&](Tensor& to) {
    product.out = to.dtype();
    cuda::Multiply(y.device(), product, x.device_raw(), w.device_raw(), to.device_raw());
  };
  if (!bias.defined()) return multiply(y);
  // cuBLASLt adds none to float64, and beside 16 bits one of 16 bits: a float32 bias is rounded then, as
  // autocast does, and not the sum twice. What it refuses keeps the bias as it is.
  if (p.dtype != DType::kF64) {
    const Tensor rounded = Cast(bias, p.dtype);
    product.bias = true;
    if (cuda::MultiplyAndAdd(y.device(), product, x.device_raw(), w.device_raw(), rounded.device_raw(),
                             y.device_raw())) {
      return;
    }
    product.bias = false;
  }
  // Rounded to 16 bits after the bias is added, not before.
  Tensor sums = SizeOf(p.dtype) == 2 ? Tensor::Empty(y.device(), DType::kF32, y.shape()) : y;
  multiply(sums);
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
  cuda::Multiply(dx.device(), product, dy.device_raw(), w.device_raw(), dx.device_raw());
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
  cuda::Multiply(x.device(), product, dy.device_raw(), x.device_raw(), grads.dw.device_raw());
  if (grads.db.defined()) kBiasKernels.gradient(dy, grads.db);
}

}  // namespace

const LinearKernels kLinearKernels = {
    .forward = Forward, .backward_data = BackwardData, .backward_weights = BackwardWeights};

}  // namespace halftone::ops
