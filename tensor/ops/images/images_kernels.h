// images.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_IMAGES_IMAGES_KERNELS_H_
#define HALFTONE_TENSOR_OPS_IMAGES_IMAGES_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// As RenderImages; shapes and dtypes are checked, and y is there, not initialised.
struct ImagesKernels {
  void (*render)(const Tensor& pixels, const Tensor& crops, const Tensor& table, Tensor& y);
};

extern const ImagesKernels kImagesKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_IMAGES_IMAGES_KERNELS_H_
