// By cuDNN, but for depthwise convolutions, which our own kernels do.
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "tensor/cuda/cudnn.h"
#include "tensor/cuda/math_options.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/conv2d/conv2d_kernels.h"
#include "tensor/ops/conv2d/direct_kernels.h"
#include "tensor/ops/linear/bias_kernels.h"

namespace halftone::ops {
namespace {

using cuda::Convolution;
using cuda::ConvolutionPass;

// The two inputs and the result of a pass; the channels of a filter in w are last.
struct Operands {
  ConvolutionPass pass;
  Tensor x, w, y;

  Tensor& result() {
    return pass == ConvolutionPass::kForward ? y : pass == ConvolutionPass::kBackwardData ? x : w;
  }
  DType in() const { return pass == ConvolutionPass::kForward ? x.dtype() : y.dtype(); }
};

// bias: undefined for none.
bool Convolve(const Conv2dProblem& p, Operands& operands, bool tf32, const Tensor& bias = Tensor()) {
  const Convolution convolution = {.pass = operands.pass,
                                   .in = operands.in(),
                                   .out = operands.result().dtype(),
                                   .tf32 = tf32,
                                   .bias = bias.defined() ? absl::make_optional(bias.dtype()) : absl::nullopt,
                                   .n = p.n,
                                   .h = p.h,
                                   .w = p.w,
                                   .c = p.c,
                                   .o = p.o,
                                   .kh = p.kh,
                                   .kw = p.kw,
                                   .out_h = p.out_h,
                                   .out_w = p.out_w,
                                   .stride = p.stride,
                                   .padding = p.padding,
                                   .groups = p.groups};
  return cuda::Convolve(operands.x.device(), convolution, operands.x.device_raw(), operands.w.device_raw(),
                        operands.y.device_raw(), bias.device_raw());
}

bool AllowsTf32(Device& device) { return device.Resource<cuda::MathOptions>().tf32; }

// What cuDNN refuses in 16 bits, it does in float32. Every float16 and every bfloat16 is a TensorFloat-32:
// products and sums are the same, at the price of wider copies. False: it refuses that too.
bool ConvolveWidened(const Conv2dProblem& p, Operands& operands) {
  Operands wide = operands;
  for (Tensor* t : {&wide.x, &wide.w, &wide.y}) {
    if (t != &wide.result()) *t = Cast(*t, DType::kF32);
  }
  Tensor& result = operands.result();
  if (result.dtype() != DType::kF32)
    wide.result() = Tensor::Empty(result.device(), DType::kF32, result.shape());
  if (!Convolve(p, wide, /*tf32=*/true)) return false;
  result.device().SayOnce(
      absl::StrCat("some ", std::string(NameOf(operands.in())),
                   " convolutions run on float32 copies: cuDNN has nothing else for them here"));
  result = Cast(wide.result(), result.dtype());
  return true;
}

// False: cuDNN refuses this convolution.
bool ConvolveByCudnn(const Conv2dProblem& p, Operands& operands) {
  Device& device = operands.x.device();
  if (Convolve(p, operands, AllowsTf32(device))) return true;
  if (SizeOf(operands.in()) == 2 && ConvolveWidened(p, operands)) return true;
  device.SayOnce(absl::StrCat("some ", std::string(NameOf(operands.in())), " convolutions of ", p.groups,
                              p.groups == 1 ? " group" : " groups",
                              " run in plain loops, slowly: cuDNN has nothing for them here"));
  return false;
}

// Whether weights are the same memory with the channels of a filter first and last.
bool HasOneOrder(const Conv2dProblem& p) { return p.kh * p.kw == 1 || p.c == p.groups; }

Tensor ChannelsLast(const Conv2dProblem& p, const Tensor& w) {
  if (HasOneOrder(p)) return w;
  Tensor to = Tensor::Empty(w.device(), w.dtype(), w.shape());
  kDirectConv2dKernels.channels_last(p, w, to);
  return to;
}

void Forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor& y) {
  Operands operands = {.pass = ConvolutionPass::kForward, .x = x, .y = y};
  if (!IsDepthwise(p)) operands.w = ChannelsLast(p, w);
  const bool may_fuse = bias.defined() && !IsDepthwise(p) && p.dtype != DType::kF64;
  if (may_fuse && Convolve(p, operands, AllowsTf32(x.device()), bias)) return;
  // Rounded to 16 bits after the bias is added, not before.
  const bool wider = bias.defined() && SizeOf(p.dtype) == 2;
  if (wider) operands.y = Tensor::Empty(y.device(), DType::kF32, y.shape());
  if (IsDepthwise(p) || !ConvolveByCudnn(p, operands)) kDirectConv2dKernels.forward(p, x, w, operands.y);
  if (bias.defined()) return kBiasKernels.add(operands.y, bias, y);
  y = operands.y;
}

void BackwardData(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, Tensor& dx) {
  Operands operands = {.pass = ConvolutionPass::kBackwardData, .x = dx, .y = dy};
  if (!IsDepthwise(p)) operands.w = ChannelsLast(p, w);
  if (IsDepthwise(p) || !ConvolveByCudnn(p, operands))
    kDirectConv2dKernels.backward_data(p, dy, w, operands.x);
  dx = operands.x;
}

void BackwardWeights(const Conv2dProblem& p, const Tensor& x, const Tensor& dy, WeightGradients& grads) {
  if (grads.db.defined()) kBiasKernels.gradient(dy, grads.db);
  Operands operands = {.pass = ConvolutionPass::kBackwardWeights, .x = x, .w = grads.dw, .y = dy};
  if (!HasOneOrder(p)) operands.w = Tensor::Empty(x.device(), grads.dw.dtype(), grads.dw.shape());
  if (IsDepthwise(p) || !ConvolveByCudnn(p, operands)) {
    return kDirectConv2dKernels.backward_weights(p, x, dy, grads.dw);
  }
  if (HasOneOrder(p)) {
    grads.dw = operands.w;
  } else {
    kDirectConv2dKernels.channels_first(p, operands.w, grads.dw);
  }
}

}  // namespace

const Conv2dKernels kConv2dKernels = {
    .forward = Forward, .backward_data = BackwardData, .backward_weights = BackwardWeights};

}  // namespace halftone::ops
