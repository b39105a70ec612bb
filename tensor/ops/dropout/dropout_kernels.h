// dropout.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_KERNELS_H_
#define HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_KERNELS_H_

#include <cstdint>

#include "base/philox.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// Element i becomes 0 where the upper 24 bits of rng.Bits(i) are below `limit`, else it is multiplied by
// `scale`. x and y are of one dtype and shape.
struct DropoutKernels {
  void (*forward)(const Tensor& x, uint32_t limit, double scale, const Rng& rng, Tensor& y);
};

extern const DropoutKernels kDropoutKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_KERNELS_H_
