// The inner loops of quant/scaled.h, one row or piece of it at a time, on the widest vectors that the
// processor has. No input overlaps an output unless said so.
#ifndef HALFTONE_QUANT_SCALED_KERNELS_H_
#define HALFTONE_QUANT_SCALED_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "fp16/format.h"
#include "quant/grid.h"

namespace halftone::quant_internal {

// y = what x becomes, to nearest even. past_cache: y is too long for the caches to keep, so that stores go by
// them; hwy::FlushStream() is the caller's.
void FakeQuantizeRow(const FloatGrid& grid, const float* x, float scale, float* y, size_t n, bool past_cache);
void FakeQuantizeRow(const IntegerGrid& grid, const float* x, float scale, float* y, size_t n,
                     bool past_cache);

// The codes, to nearest even; of NaNs any. Whether there are NaNs.
bool QuantizeRow(const FloatGrid& grid, const float* x, float scale, uint8_t* codes, size_t n);
bool QuantizeRow(const IntegerGrid& grid, const float* x, float scale, uint8_t* codes, size_t n);

// q = x / scale.
void DivideRow(const float* x, float scale, float* q, size_t n);
// values, in place: rounded to an integer within [grid.lowest, grid.highest], of which the grid's unit is 1;
// a NaN becomes 0. random: one number a value for Rounding::kStochastic.
void RoundIntegers(const IntegerGrid& grid, Rounding rounding, const uint32_t* random, float* values,
                   size_t n);
// The integers' codes: value + zero_point in two's complement.
void CodesOfIntegers(const float* values, int zero_point, uint8_t* codes, size_t n);
// value = code - zero_point.
void ValuesOfCodes(const uint8_t* codes, int zero_point, float* values, size_t n);
// y = values * scale within float's range; where x is not finite, x.
void MultiplyRow(const float* x, const float* values, float scale, float* y, size_t n);
// values *= scale, in place.
void ScaleRow(float scale, float* values, size_t n);

// Elements whose part of a scale's gradient is summed together.
inline constexpr size_t kSumBlock = 2048;

// Of n <= kSumBlock quotients q with the values they round to: dx, and the sum for the scale's gradient.
double BackwardBlock(const float* q, const float* values, const float* dy, float lowest, float highest,
                     float* dx, size_t n);

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_SCALED_KERNELS_H_
