// What happens to gradients between the backward pass and the optimiser: unscale, check, measure, clip.
//
// The results are the same bits for any number of threads and any instruction set.
#ifndef HALFTONE_SCALER_UNSCALE_H_
#define HALFTONE_SCALER_UNSCALE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"

namespace halftone {

struct GradStats {
  bool finite = true;  // no infinity and no NaN in any unscaled gradient
  double norm = 0;     // L2 norm of all unscaled gradients together; infinite or NaN when not finite
};

// Multiplies every gradient in place by 1/scale (the float nearest to it, as PyTorch does), and checks and
// measures the products in the same pass over memory. `scale` is positive and finite.
//
// The mean over n micro-batches whose gradients were added up is the same pass with scale * n: each gradient
// is rounded once, not once for the scale and once for the mean. (A sum of float32 gradients shows every
// overflow of its parts: an infinity stays one in it or, meeting its opposite, becomes a NaN.)
//
// zeros, if not empty, has one number for each array of gradients: how many of its products are zero, of
// either sign. Many zeros in one layer are gradients that vanished in 16 bits.
//
// Squares are summed in double, where neither FLT_MAX^2 overflows nor the square of a subnormal vanishes. The
// order of the sums is fixed: see kBlock and kLanes in unscale.cc.
GradStats UnscaleAndCheck(absl::Span<const absl::Span<float>> grads, double scale,
                          absl::Span<int64_t> zeros = {});

// The same for gradients in 16 bits: the products go to `unscaled`, whose arrays have the sizes of grads' and
// do not overlap them. The results are those of widening first.
GradStats UnscaleAndCheck(absl::Span<const absl::Span<const half>> grads,
                          absl::Span<const absl::Span<float>> unscaled, double scale,
                          absl::Span<int64_t> zeros = {});
GradStats UnscaleAndCheck(absl::Span<const absl::Span<const bfloat16>> grads,
                          absl::Span<const absl::Span<float>> unscaled, double scale,
                          absl::Span<int64_t> zeros = {});

// What to multiply all gradients with so that their common norm is at most about max_norm: max_norm / (norm +
// 1e-6) where that is below 1, as torch.nn.utils.clip_grad_norm_ does, else 1. `norm` is their present norm
// and finite. max_norm <= 0: no clipping. An optimiser takes the factor in its own pass over memory.
float ClipFactor(double max_norm, double norm);
// The same where nobody checks.
constexpr float UncheckedClipFactor(double max_norm, double norm) {
  if (max_norm <= 0) return 1;
  const double factor = max_norm / (norm + 1e-6);
  return static_cast<float>(factor < 1.0 ? factor : 1.0);
}

// Multiplies all gradients by ClipFactor(max_norm, norm).
void ClipByGlobalNorm(absl::Span<const absl::Span<float>> grads, double max_norm, double norm);

// Limits every gradient to [-max_value, max_value], as torch.nn.utils.clip_grad_value_ does. No gradient is a
// NaN. max_value <= 0: no clipping.
void ClipByValue(absl::Span<const absl::Span<float>> grads, float max_value);

}  // namespace halftone

#endif  // HALFTONE_SCALER_UNSCALE_H_
