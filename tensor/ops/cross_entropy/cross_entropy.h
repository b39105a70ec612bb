// Softmax and cross-entropy in one: for logits z [B, C] and the label of each row,
//
//   loss = -sum_c target_c * log softmax(z)_c,   target = (1 - s) * onehot(label) + s / C,   s = label_smoothing.
//
// Label smoothing: Szegedy et al.: "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
//
// Logits are of any float dtype; the arithmetic is float, or double for f64. Labels are i64 in [0, C):
// anything else is a bug, which ends the program, or stops an accelerator with an error
// (Accelerator::status).
#ifndef HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_H_
#define HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_H_

#include <cstdint>

#include "absl/types/optional.h"
#include "fp16/format.h"
#include "tensor/ops/reduction.h"
#include "tensor/ops/seed.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct CrossEntropyOptions {
  double label_smoothing = 0;              // in [0, 1]
  Reduction reduction = Reduction::kMean;  // kMean: over the rows
  // The softmax in this precision (rounded_softmax.h), the loss being the logarithm of its results, at least
  // -100 as in PyTorch's binary cross entropy. The gradient is softmax - target with the same softmax: as if
  // rounding had none of its own (straight-through). The host computes it, and waits for the device.
  // None: one float expression from logits to loss.
  absl::optional<FloatFormat> softmax = absl::nullopt;
};

struct CrossEntropyResult {
  Tensor loss;  // f32 (f64 for f64 logits): [], or [B] for Reduction::kNone
  // For CrossEntropyBackward: of each row the maximum m and log(sum exp(z - m)), [B, 2]. Their sum would lose
  // the second where the first is large.
  Tensor log_sum_exp;
};

CrossEntropyResult CrossEntropyForward(const Tensor& logits, const Tensor& labels,
                                       const CrossEntropyOptions& options);

// The gradient of seed * loss, in the logits' dtype: seed * (softmax - target), divided by B for kMean. The
// scale of mixed-precision training comes in here as the seed, so the loss itself is never scaled and cannot
// overflow.
Tensor CrossEntropyBackward(const Tensor& logits, const Tensor& labels, const Tensor& log_sum_exp,
                            const Seed& seed, const CrossEntropyOptions& options);

// How many rows' largest logit is the label's, i64 []; of equal ones the first counts as largest. A row with
// a NaN is wrong.
Tensor CountCorrect(const Tensor& logits, const Tensor& labels);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CROSS_ENTROPY_CROSS_ENTROPY_H_
