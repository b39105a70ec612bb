// The inner loops of quant/scales.h, on the widest vectors that the processor has. Infinities and NaNs count
// as 0.
#ifndef HALFTONE_QUANT_SCALES_KERNELS_H_
#define HALFTONE_QUANT_SCALES_KERNELS_H_

#include <cstddef>

namespace halftone::quant_internal {

struct Range {
  float lowest = 0, highest = 0;
};

// The largest magnitude.
float LargestMagnitude(const float* x, size_t n);
// The smallest and the largest number, 0 among them.
Range RangeOf(const float* x, size_t n);
// Sums of at most some thousand numbers: double, in one fixed order.
double SumOfMagnitudes(const float* x, size_t n);
double SumOfSquaredErrors(const float* x, const float* y, size_t n);

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_SCALES_KERNELS_H_
