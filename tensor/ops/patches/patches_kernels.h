// patches.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_PATCHES_PATCHES_KERNELS_H_
#define HALFTONE_TENSOR_OPS_PATCHES_PATCHES_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// Patches [N, H / size, W / size, C * size^2], images [N, H, W, C].
struct PatchesKernels {
  void (*forward)(const Tensor& images, int size, Tensor& patches);
  void (*backward)(const Tensor& patches, int size, Tensor& images);
};

extern const PatchesKernels kPatchesKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_PATCHES_PATCHES_KERNELS_H_
