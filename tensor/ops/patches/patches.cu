#include <cstdint>

#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/patches/patches_kernels.h"

namespace halftone::ops {
namespace {

struct Geometry {
  int size, channels;
  int64_t columns;  // of patches, in an image

  // The index in the images of what is at `i` in the patches.
  __device__ int64_t PixelOf(int64_t i) const {
    const int features = channels * size * size;
    const int64_t patch = i / features, strip = patch / columns, column = patch % columns;
    const int feature = static_cast<int>(i % features);
    const int b = feature % size, a = feature / size % size, channel = feature / (size * size);
    return (((strip * size + a) * columns + column) * size + b) * channels + channel;
  }
};

Geometry GeometryOf(const Tensor& images, int size) {
  return {.size = size, .channels = static_cast<int>(images.shape()[3]), .columns = images.shape()[2] / size};
}

template <typename T>
void ForwardOf(const Tensor& images, int size, Tensor& patches) {
  const T* from = images.device_data<T>();
  T* to = patches.device_data<T>();
  const Geometry geometry = GeometryOf(images, size);
  cuda::ForEach(images.device(), images.elements(),
                [=] __device__(int64_t i) { to[i] = from[geometry.PixelOf(i)]; });
}

template <typename T>
void BackwardOf(const Tensor& patches, int size, Tensor& images) {
  const T* from = patches.device_data<T>();
  T* to = images.device_data<T>();
  const Geometry geometry = GeometryOf(images, size);
  cuda::ForEach(images.device(), images.elements(),
                [=] __device__(int64_t i) { to[geometry.PixelOf(i)] = from[i]; });
}

}  // namespace

const PatchesKernels kPatchesKernels = {
    .forward =
        [](const Tensor& images, int size, Tensor& patches) {
          VisitFloat(images.dtype(), [&](auto type) { ForwardOf<decltype(type)>(images, size, patches); });
        },
    .backward =
        [](const Tensor& patches, int size, Tensor& images) {
          VisitFloat(images.dtype(), [&](auto type) { BackwardOf<decltype(type)>(patches, size, images); });
        },
};

}  // namespace halftone::ops
