// The implementations of layer_norm.h, fastest first; the first that supports a dtype is used.
#ifndef HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_IMPLEMENTATIONS_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone::ops {

// x [rows, n], neither of them 0.
struct LayerNormProblem {
  DType dtype;
  size_t rows, n;
  absl::optional<DType> keep = absl::nullopt;  // of `normalised`; none: there is none
};

// Of `dtype`: x, y, dy, dx. Backward has either x and mean, or normalised. Of the statistics' dtype: gamma
// and beta [n], mean [rows, 2], inv_std [rows], dgamma and dbeta [n]. No array overlaps another.
struct LayerNormForwardArrays {
  const void *x, *gamma, *beta;
  void *y, *mean, *inv_std;
  void *normalised = nullptr;
};
struct LayerNormBackwardArrays {
  const void *x, *gamma, *mean, *inv_std, *dy;
  void *dx, *dgamma, *dbeta;
  const void *normalised = nullptr;
};

struct LayerNormImplementation {
  absl::string_view name;
  bool (*supports)(DType dtype);
  void (*forward)(const LayerNormProblem &, double eps, const LayerNormForwardArrays &);
  void (*backward)(const LayerNormProblem &, const LayerNormBackwardArrays &);
};

absl::Span<const LayerNormImplementation> LayerNormImplementations();
extern const LayerNormImplementation kSimdLayerNorm, kReferenceLayerNorm;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_IMPLEMENTATIONS_H_
