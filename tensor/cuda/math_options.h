#ifndef HALFTONE_TENSOR_CUDA_MATH_OPTIONS_H_
#define HALFTONE_TENSOR_CUDA_MATH_OPTIONS_H_

namespace halftone::cuda {

// What products of float32 are computed in: device.Resource<MathOptions>(). To be set before the device is
// used.
struct MathOptions {
  // Factors rounded to TensorFloat-32, of 11 significant bits, sums in float32: several times as fast.
  bool tf32 = false;
};

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_MATH_OPTIONS_H_
