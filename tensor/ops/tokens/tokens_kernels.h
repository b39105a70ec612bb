// tokens.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_TOKENS_TOKENS_KERNELS_H_
#define HALFTONE_TENSOR_OPS_TOKENS_TOKENS_KERNELS_H_

#include "tensor/ops/tokens/tokens.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct TokensKernels {
  void (*prepend_forward)(const Tensor& x, const Tensor& token, const Tensor& positions, Tensor& y);
  void (*prepend_backward)(const Tensor& dy, PrependTokenGradients& gradients);
  void (*first_forward)(const Tensor& x, Tensor& y);
  void (*first_backward)(const Tensor& dy, Tensor& dx);  // dx: zeros before
  void (*plane)(const Tensor& tokens, int64_t plane, Tensor& y);
  void (*positions)(Tensor& y);
};

extern const TokensKernels kTokensKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_TOKENS_TOKENS_KERNELS_H_
