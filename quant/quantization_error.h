// What quantisation did to numbers: sums that can be merged.
#ifndef HALFTONE_QUANT_QUANTIZATION_ERROR_H_
#define HALFTONE_QUANT_QUANTIZATION_ERROR_H_

#include <cstdint>

#include "absl/types/span.h"

namespace halftone {

// Of the finite numbers that stayed finite.
struct QuantizationError {
  int64_t elements = 0;
  int64_t nonzero = 0;
  int64_t underflows = 0;     // not 0, but rounded to 0
  double squares = 0;         // sum of x^2
  double squared_errors = 0;  // sum of (y - x)^2

  // x as it was, y as it became; of one length.
  void Add(absl::Span<const float> x, absl::Span<const float> y);
  void Merge(const QuantizationError& other);

  double underflow_share() const;  // of what is not 0; 0 where there is none
  // The signal-to-quantisation-noise ratio, 10 log10(squares / squared_errors), in dB: infinity without
  // error.
  double sqnr_db() const;
};

}  // namespace halftone

#endif  // HALFTONE_QUANT_QUANTIZATION_ERROR_H_
