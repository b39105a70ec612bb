// A convolution without its numbers, as cuDNN is told it.
#ifndef HALFTONE_TENSOR_CUDA_CUDNN_CONVOLUTION_H_
#define HALFTONE_TENSOR_CUDA_CUDNN_CONVOLUTION_H_

#include <array>
#include <cstdint>
#include <utility>

#include "absl/types/optional.h"
#include "tensor/dtype.h"

namespace halftone::cuda {

enum class ConvolutionPass : uint8_t { kForward, kBackwardData, kBackwardWeights };

// Images lie as [N, H, W, C], weights as [O, KH, KW, C / groups].
struct Convolution {
  ConvolutionPass pass = ConvolutionPass::kForward;
  DType in = DType::kF32;   // of both that are multiplied
  DType out = DType::kF32;  // of the result: as `in`, or float32 where that has 16 bits
  bool tf32 = false;        // factors of float32 may be rounded to TensorFloat-32
  // Forward, and not of float64: adds a bias of this dtype, as many numbers as there are filters, before
  // rounding.
  absl::optional<DType> bias = absl::nullopt;
  int64_t n = 0, h = 0, w = 0, c = 0;
  int64_t o = 0, kh = 0, kw = 0, out_h = 0, out_w = 0;
  int64_t stride = 1, padding = 0, groups = 1;
  int64_t alignment = 16;  // of every address, bytes: the largest power of two up to 16

  friend bool operator==(const Convolution&, const Convolution&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Convolution& c) {
    return H::combine(std::move(state), c.pass, c.in, c.out, c.tf32, c.bias, c.n, c.h, c.w, c.c, c.o, c.kh,
                      c.kw, c.stride, c.padding, c.groups, c.alignment);
  }
};

// cuDNN names dimensions in the order N, C, H, W (weights: O, C / groups, KH, KW), however they lie in
// memory.
struct CudnnTensor {
  DType dtype;
  std::array<int64_t, 4> dims, strides;
};

inline CudnnTensor ChannelsLast(DType dtype, int64_t n, int64_t h, int64_t w, int64_t c) {
  return {.dtype = dtype, .dims = {n, c, h, w}, .strides = {h * w * c, 1, w * c, c}};
}

// Image, weights and the image that they make: whichever is the pass's result has the dtype `out`. `sums`:
// that result before it is rounded.
struct CudnnTensors {
  CudnnTensor x, w, y, sums;
};

inline CudnnTensors TensorsOf(const Convolution& c) {
  const auto dtype = [&](ConvolutionPass result) { return c.pass == result ? c.out : c.in; };
  CudnnTensors t = {
      .x = ChannelsLast(dtype(ConvolutionPass::kBackwardData), c.n, c.h, c.w, c.c),
      .w = ChannelsLast(dtype(ConvolutionPass::kBackwardWeights), c.o, c.kh, c.kw, c.c / c.groups),
      .y = ChannelsLast(dtype(ConvolutionPass::kForward), c.n, c.out_h, c.out_w, c.o)};
  t.sums = c.pass == ConvolutionPass::kForward ? t.y : c.pass == ConvolutionPass::kBackwardData ? t.x : t.w;
  t.sums.dtype = c.in == DType::kF64 ? DType::kF64 : DType::kF32;
  return t;
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_CUDNN_CONVOLUTION_H_
