// Which format for which layer, under a budget: the multiple-choice knapsack problem.
//
// Sensitivities that add up are an assumption, and the usual one: Dong et al., "HAWQ-V2: Hessian Aware
// trace-Weighted Quantization of Neural Networks", NeurIPS 2020; Zandonati et al. and others take, as here,
// the measured loss.
#ifndef HALFTONE_QUANT_ALLOCATE_H_
#define HALFTONE_QUANT_ALLOCATE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace halftone {

struct FormatChoice {
  double cost = 0;   // what it adds to the loss; any finite number
  double bytes = 0;  // not negative, finite
};

// For each layer the index of one of its choices, so that the bytes are at most `budget` and the costs' sum
// is small: the best of all allocations on the lower convex hull of each layer's choices but for the last
// step, of which as much is done as fits (greedy by cost saved per byte, then single improvements that fit).
// Errors: a layer without choices, numbers out of range, a budget that the smallest choices exceed; the
// message has their bytes.
absl::StatusOr<std::vector<size_t>> AllocateFormats(absl::Span<const std::vector<FormatChoice>> layers,
                                                    double budget);

}  // namespace halftone

#endif  // HALFTONE_QUANT_ALLOCATE_H_
