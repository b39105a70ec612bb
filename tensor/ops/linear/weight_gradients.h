#ifndef HALFTONE_TENSOR_OPS_LINEAR_WEIGHT_GRADIENTS_H_
#define HALFTONE_TENSOR_OPS_LINEAR_WEIGHT_GRADIENTS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// What a layer's backward pass hands to the optimiser: float32 sums for the float32 master weights, never
// rounded to 16 bits (float64 where the inputs are float64).
struct WeightGradients {
  Tensor dw;  // of the weights' shape
  Tensor db;  // one element an output channel; undefined unless asked for
};

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_WEIGHT_GRADIENTS_H_
