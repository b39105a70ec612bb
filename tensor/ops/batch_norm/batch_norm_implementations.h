// The implementations of batch_norm.h, fastest first; the first that supports a dtype is used.
//
// Each of the five loops is one pass over memory, on all threads.
#ifndef HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_IMPLEMENTATIONS_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"
#include "tensor/ops/batch_norm/batch_norm.h"

namespace halftone::ops {

// x [rows, channels].
struct BatchNormProblem {
  DType dtype;
  size_t rows, channels;
  BatchNormActivation activation;
};

struct BatchNormMoments {
  std::vector<double> mean, variance;  // biased
};

// y = f((x - mean) * scale + shift [+ residual]) for each channel; everything rounded to the dtype of the
// arithmetic when used.
struct BatchNormAffine {
  std::vector<double> mean, scale, shift;
};

// Of dy, where the activation let it through, over the rows.
struct BatchNormSums {
  std::vector<double> dy, dy_x;  // sum of dy; of dy * (x - mean)
};

// dx = (dy - mean_dy) * affine.scale - (x - affine.mean) * slope for each channel.
struct BatchNormInputGradient {
  std::vector<double> mean_dy, slope;
};

struct BatchNormImplementation {
  absl::string_view name;
  bool (*supports)(DType dtype);
  BatchNormMoments (*moments)(const BatchNormProblem&, const void* x);
  // `residual` null for none.
  void (*normalise)(const BatchNormProblem&, const void* x, const void* residual, const BatchNormAffine&,
                    void* y);
  BatchNormSums (*sums)(const BatchNormProblem&, const void* x, const void* dy, const BatchNormAffine&);
  // The same after a residual: what the activation let through is told by y, and written into `passed`.
  BatchNormSums (*residual_sums)(const BatchNormProblem&, const void* x, const void* y, const void* dy,
                                 const BatchNormAffine&, void* passed);
  void (*input_gradient)(const BatchNormProblem&, const void* x, const void* dy, const BatchNormAffine&,
                         const BatchNormInputGradient&, void* dx);
};

absl::Span<const BatchNormImplementation> BatchNormImplementations();
extern const BatchNormImplementation kSimdBatchNorm, kReferenceBatchNorm;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_BATCH_NORM_BATCH_NORM_IMPLEMENTATIONS_H_
