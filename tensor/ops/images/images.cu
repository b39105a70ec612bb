#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/images/images.h"
#include "tensor/ops/images/images_kernels.h"

namespace halftone::ops {
namespace {

void Render(const Tensor& pixels, const Tensor& crops, const Tensor& table, Tensor& y) {
  const uint8_t* from = pixels.device_data<uint8_t>();
  const int32_t* crop = crops.device_data<int32_t>();
  const float* values = table.device_data<float>();
  float* to = y.device_data<float>();
  const int64_t channels = pixels.shape()[1], height = pixels.shape()[2], width = pixels.shape()[3];
  cuda::ForEach(y.device(), y.elements(), [=] __device__(int64_t i) {
    const int64_t c = i % channels, x = i / channels % width, r = i / (channels * width) % height;
    const int64_t n = i / (channels * width * height);
    const int64_t row = r + crop[3 * n];
    const int64_t column = (crop[3 * n + 2] != 0 ? width - 1 - x : x) + crop[3 * n + 1];
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    to[i] =
        inside ? values[c * kPixelValues + from[((n * channels + c) * height + row) * width + column]] : 0.0f;
  });
}

}  // namespace

const ImagesKernels kImagesKernels = {.render = Render};

}  // namespace halftone::ops
