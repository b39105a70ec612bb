// Binary cross entropy, -(t log p + (1 - t) log(1 - p)) for each element, with targets t in [0, 1]. The
// arithmetic is float, or double where the input is f64; the targets have the input's shape and any float
// dtype.
//
// Sums are over fixed blocks in double: the same bits for any number of threads.
#ifndef HALFTONE_TENSOR_OPS_BCE_BCE_H_
#define HALFTONE_TENSOR_OPS_BCE_BCE_H_

#include "tensor/ops/reduction.h"
#include "tensor/ops/seed.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct BceWithLogitsOptions {
  Reduction reduction = Reduction::kMean;  // over all elements
  double pos_weight = 1;                   // of the first term: above 1 where positive examples are rare
};

// For labels of 0 and 1, i64 [B], and one logit each, [B, 1] of any float dtype.
//
// f32 [B, 1]: (1 - smoothing) label + smoothing / 2.
Tensor BinaryTargets(const Tensor& labels, double smoothing = 0);
// How many logits are above 0 where the label is 1, and not where it is 0: i64 []. A NaN is wrong.
Tensor CountBinaryCorrect(const Tensor& logits, const Tensor& labels);

// p = sigmoid(logit), without ever computing it: finite for every finite logit. f32 (f64 for f64 logits): [],
// or the logits' shape for Reduction::kNone.
Tensor BceWithLogitsForward(const Tensor& logits, const Tensor& target,
                            const BceWithLogitsOptions& options = {});
// The gradient of seed * loss for the logits, in their dtype.
Tensor BceWithLogitsBackward(const Tensor& logits, const Tensor& target, const Seed& seed,
                             const BceWithLogitsOptions& options = {});

// The same of probabilities in [0, 1], with PyTorch's bounds: no logarithm below -100, and no division by a
// p (1 - p) below 1e-12. Prefer logits.
Tensor BceForward(const Tensor& probabilities, const Tensor& target, Reduction reduction);
Tensor BceBackward(const Tensor& probabilities, const Tensor& target, const Seed& seed, Reduction reduction);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BCE_BCE_H_
