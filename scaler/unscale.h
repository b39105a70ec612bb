// What happens to gradients between the backward pass and the optimiser: unscale, check, measure, clip.
//
// The results are the same bits for any number of threads and any instruction set.
#ifndef HALFTONE_SCALER_UNSCALE_H_
#define HALFTONE_SCALER_UNSCALE_H_

#include "absl/types/span.h"

namespace halftone {

struct GradStats {
  bool finite = true;  // no infinity and no NaN in any unscaled gradient
  double norm = 0;     // L2 norm of all unscaled gradients together; infinite or NaN when not finite
};

// Multiplies every gradient in place by 1/scale (the float nearest to it, as PyTorch does), and checks and
// measures the products in the same pass over memory. `scale` is positive and finite.
//
// Squares are summed in double, where neither FLT_MAX^2 overflows nor the square of a subnormal vanishes. The
// order of the sums is fixed: see kBlock and kLanes in unscale.cc.
GradStats UnscaleAndCheck(absl::Span<const absl::Span<float>> grads, float scale);

// Scales all gradients so that their common norm is at most about max_norm: multiplies them by max_norm /
// (norm + 1e-6) where that is below 1, as torch.nn.utils.clip_grad_norm_ does. `norm` is their present norm
// and finite. max_norm <= 0: no clipping.
void ClipByGlobalNorm(absl::Span<const absl::Span<float>> grads, double max_norm, double norm);

}  // namespace halftone

#endif  // HALFTONE_SCALER_UNSCALE_H_
