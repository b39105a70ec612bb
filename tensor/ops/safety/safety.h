// What fp16/safety.h counts, of a tensor and by its device:
//
//   SafetyCheck check({kFloat16, kBfloat16});
//   AddToCheck(tensor, check);        // as check.Add of its elements
//
// Counts, extremes and their indices are the same on every device; the sums and the largest relative errors
// are right to within what FormatStats promises.
#ifndef HALFTONE_TENSOR_OPS_SAFETY_SAFETY_H_
#define HALFTONE_TENSOR_OPS_SAFETY_SAFETY_H_

#include "fp16/safety.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// x: float32 or float64. Waits for the device.
void AddToCheck(const Tensor& x, SafetyCheck& check);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_SAFETY_SAFETY_H_
