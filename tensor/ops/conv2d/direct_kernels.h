// Convolutions as loops, on an accelerator: those that cuDNN is no help with.
#ifndef HALFTONE_TENSOR_OPS_CONV2D_DIRECT_KERNELS_H_
#define HALFTONE_TENSOR_OPS_CONV2D_DIRECT_KERNELS_H_

#include "tensor/ops/conv2d/problem.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Every channel by itself: no tensor cores needed, and as fast as memory.
inline bool IsDepthwise(const Conv2dProblem& p) { return p.groups == p.c && p.groups == p.o; }

// As Conv2dKernels, without a bias. y and dx may be float32 where the inputs have 16 bits. Depthwise
// convolutions are fast, the others are not.
struct DirectConv2dKernels {
  void (*forward)(const Conv2dProblem& problem, const Tensor& x, const Tensor& w, Tensor& y);
  void (*backward_data)(const Conv2dProblem& problem, const Tensor& dy, const Tensor& w, Tensor& dx);
  void (*backward_weights)(const Conv2dProblem& problem, const Tensor& x, const Tensor& dy, Tensor& dw);
  // The same weights (of one dtype, [O, C / groups, KH, KW]) with the channels of a filter last, and back.
  void (*channels_last)(const Conv2dProblem& problem, const Tensor& w, Tensor& to);
  void (*channels_first)(const Conv2dProblem& problem, const Tensor& w, Tensor& to);
};

extern const DirectConv2dKernels kDirectConv2dKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_DIRECT_KERNELS_H_
