// Convolutions by cuDNN's graph API. Errors become the accelerator's status, with the call's name.
#ifndef HALFTONE_TENSOR_CUDA_CUDNN_H_
#define HALFTONE_TENSOR_CUDA_CUDNN_H_

#include "tensor/cuda/cudnn_convolution.h"
#include "tensor/device.h"

namespace halftone::cuda {

// The pass's result is overwritten, the two others are read. `bias`: null without one. Addresses that are
// multiples of 16 bytes are the fastest.
//
// Sums of products of 16-bit numbers are float32, rounded once into the result; neither FFT nor Winograd
// transformations are used, nor anything whose bits may differ from one call to the next. What computes a
// convolution is chosen, and where need be compiled, when it first comes, and kept with the device: a second
// or so for one with a bias, or whose result is wider than its inputs.
//
// False: cuDNN has nothing for it that keeps these promises, on this GPU, and nothing was done. After an
// error true: the status says what it was.
bool Convolve(Device& device, Convolution convolution, void* x, void* w, void* y, const void* bias = nullptr);

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_CUDNN_H_
