// Convolution by oneDNN on plain memory, in float32 or bfloat16: what the implementations "onednn" and
// "widened" share.
#ifndef HALFTONE_TENSOR_OPS_CONV2D_ONEDNN_H_
#define HALFTONE_TENSOR_OPS_CONV2D_ONEDNN_H_

#include "tensor/onednn/onednn.h"
#include "tensor/ops/conv2d/problem.h"
#include "tensor/ops/linear/weight_gradients.h"

namespace halftone::ops {

// One of the three convolutions of a problem with the layouts that oneDNN chose for the weights.
struct Conv2dPlan {
  onednn::Desc image;          // x or dx, [N, H, W, C]
  onednn::Desc out_image;      // y or dy
  onednn::Desc plain_weights;  // [O, C/groups, KH, KW]; float32 for gradients
  onednn::Desc weights;        // the same in the primitive's own layout
  onednn::Desc bias;           // none: zero dimensions
  onednn::Primitive reorder;   // between the two layouts of the weights
  onednn::Primitive convolution;
};

enum class Conv2dBias : uint8_t { kNone, kF32, kBF16 };

// Kept by the device. problem.dtype is float32 or bfloat16.
const Conv2dPlan& ForwardPlan(Device& device, const Conv2dProblem& problem, Conv2dBias bias);
const Conv2dPlan& BackwardDataPlan(Device& device, const Conv2dProblem& problem);
const Conv2dPlan& BackwardWeightsPlan(Device& device, const Conv2dProblem& problem, bool want_bias);

// `weights` and the images in the plan's layouts; `bias` null for none.
void RunForward(Device& device, const Conv2dPlan& plan, const void* x, const void* weights, const void* bias,
                void* y);
void RunBackwardData(Device& device, const Conv2dPlan& plan, const void* dy, const void* weights, void* dx);
// grads: float32, in plain layout.
void RunBackwardWeights(Device& device, const Conv2dPlan& plan, const void* x, const void* dy,
                        WeightGradients* grads);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_ONEDNN_H_
