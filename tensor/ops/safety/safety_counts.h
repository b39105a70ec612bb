// safety.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_SAFETY_SAFETY_COUNTS_H_
#define HALFTONE_TENSOR_OPS_SAFETY_SAFETY_COUNTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "fp16/safety.h"
#include "tensor/tensor.h"

namespace halftone::ops {

inline constexpr int64_t kNowhere = INT64_MAX;  // instead of an index

// NumberStats without the number of elements.
struct NumberCounts {
  static constexpr int kBins = ExponentHistogram::kHighest - ExponentHistogram::kLowest + 1;

  int64_t nans, infinities, zeros;
  int64_t first_nonfinite, max_index;
  double max_magnitude, min_magnitude;
  int64_t exponents[kBins];
};

// A format's thresholds, in the numbers' own unit.
struct SafetyTarget {
  double overflow_from;
  int normal_exponent;  // of the smallest normal value
  int mantissa_bits;
};

// FormatStats without the number of measured ones.
struct FormatCounts {
  int64_t overflows, underflows, subnormals, exact;
  double relative_errors, squared_errors, squares;
  double max_relative_error;
  int64_t max_error_index;  // the first one's
};

struct SafetyCountKernels {
  // counts: one for each target. Waits for the device.
  void (*count)(const Tensor& x, absl::Span<const SafetyTarget> targets, NumberCounts& numbers,
                absl::Span<FormatCounts> counts);
};

extern const SafetyCountKernels kSafetyCountKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_SAFETY_SAFETY_COUNTS_H_
