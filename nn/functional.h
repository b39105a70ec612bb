// Ops without parameters, recorded on the graph of their input. Images are [N, H, W, C].
#ifndef HALFTONE_NN_FUNCTIONAL_H_
#define HALFTONE_NN_FUNCTIONAL_H_

#include <cstdint>

#include "absl/types/optional.h"
#include "fp16/format.h"
#include "nn/graph.h"
#include "tensor/ops/activation/activation.h"

namespace halftone::nn {

Variable Add(const Variable& a, const Variable& b);
inline Variable operator+(const Variable& a, const Variable& b) { return Add(a, b); }

// Of an activation that learns nothing; where it does, nn::ActivationLayer holds the parameter.
Variable Activate(const ops::Activation& activation, const Variable& x);
// learned: [1], in full precision.
Variable Activate(const ops::Activation& activation, const Variable& x, const Variable& learned);

// Windows of `kernel` x `kernel`; the first maximum of a window takes its whole gradient.
Variable MaxPool2d(const Variable& x, int kernel, int stride, int padding = 0);

// [N, H, W, C] -> [N, out_h, out_w, C], as PyTorch's AdaptiveAvgPool2d.
Variable AdaptiveAvgPool2d(const Variable& x, int out_h, int out_w);

// The same elements under another shape of as many.
Variable Reshape(const Variable& x, const Shape& shape);

// [..., M, N] -> [..., N, M].
Variable Transpose(const Variable& x);

// [B, N, D] -> [B, N + 1, D]: a learned token in front of each sequence, and learned positions added to all.
// token [1, 1, D], positions [1, N + 1, D]; the sum is float32 (float64), as they are.
Variable PrependToken(const Variable& x, const Variable& token, const Variable& positions);

// [B, N, D] -> [B, D]: the first of each sequence.
Variable FirstToken(const Variable& x);

// [N, ...] -> [N, rest]: a view. What one pooled pixel a channel gives, the same as PyTorch's; larger maps
// come out in [H, W, C] order.
Variable Flatten(const Variable& x);

// Sets each element to zero with probability p in training and scales the rest by 1 / (1 - p). The mask is a
// function of `stream` and the element's index alone.
Variable Dropout(const Variable& x, double p, const Rng& stream);

struct LossOptions {
  double label_smoothing = 0;  // 0 to 1
  // The precision of the output softmax; none: float32 in one expression with the loss. Of several logits.
  absl::optional<FloatFormat> softmax = absl::nullopt;
};

// Mean over the batch of the softmax cross entropy. logits [B, C], labels int64 [B] in [0, C).
Variable CrossEntropy(const Variable& logits, const Tensor& labels, const LossOptions& options = {});

// Mean over the batch of the sigmoid's cross entropy. logits [B, 1], labels int64 [B], 0 or 1; smoothing as
// that of two classes.
Variable BinaryCrossEntropy(const Variable& logits, const Tensor& labels, double label_smoothing = 0);

// What a classifier of these logits is trained with: BinaryCrossEntropy where there is one logit, else
// CrossEntropy.
Variable ClassificationLoss(const Variable& logits, const Tensor& labels, const LossOptions& options = {});
// How many rows' largest logit is the label's; where there is one logit, whose being above 0 is the label. A
// row with a NaN is wrong. int64 [], on the logits' device.
Tensor CountCorrect(const Tensor& logits, const Tensor& labels);

// Mean squared error over all elements; target of prediction's shape, float32 (float64 for float64).
Variable MeanSquaredError(const Variable& prediction, const Tensor& target);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_FUNCTIONAL_H_
