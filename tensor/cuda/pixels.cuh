// Pixels of images [N, H, W, C] as rows of a matrix. To be included where kernel.cuh may be.
#ifndef HALFTONE_TENSOR_CUDA_PIXELS_CUH_
#define HALFTONE_TENSOR_CUDA_PIXELS_CUH_

#include "tensor/cuda/kernel.cuh"

namespace halftone::cuda {

struct Pixel {
  // Pixel `index` of images of h * w.
  __device__ static Pixel Of(int64_t index, int64_t h, int64_t w) {
    if (index <= int64_t{0xFFFFFFFF}) return Of<uint32_t>(index, h, w);  // divisions of 64 bits are slow
    return Of<uint64_t>(index, h, w);
  }

  int64_t n, row, column;

 private:
  template <typename U>
  __device__ static Pixel Of(int64_t index, int64_t h, int64_t w) {
    const auto i = static_cast<U>(index), width = static_cast<U>(w), height = static_cast<U>(h);
    const U line = i / width, image = line / height;
    return {static_cast<int64_t>(image), static_cast<int64_t>(line - image * height),
            static_cast<int64_t>(i - line * width)};
  }
};

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_PIXELS_CUH_
