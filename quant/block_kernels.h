// The inner loops of quant/block_format.h over whole blocks, on the widest vectors that the processor has. block: 16 or
// 32. No input overlaps an output unless said so.
#ifndef HALFTONE_QUANT_BLOCK_KERNELS_H_
#define HALFTONE_QUANT_BLOCK_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "quant/grid.h"

namespace halftone::quant_internal {

// amax[b] = the bits of the largest magnitude of block b; infinities are larger than numbers, NaNs than infinities.
void BlockMagnitudes(const float* x, size_t block, size_t blocks, uint32_t* amax);

// Elements of block b are x * factors[b] rounded to nearest even: their codes, or their values times scales[b] (where x
// is not finite, x). past_cache: as in quant/scaled_kernels.h; y is aligned to 64 bytes then.
void EncodeBlocks(const FloatGrid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                  uint8_t* codes);
void EncodeBlocks(const IntegerGrid& grid, const float* x, const float* factors, size_t block, size_t blocks,
                  uint8_t* codes);
void FakeQuantizeBlocks(const FloatGrid& grid, const float* x, const float* factors, const float* scales,
                        size_t block, size_t blocks, float* y, bool past_cache);
void FakeQuantizeBlocks(const IntegerGrid& grid, const float* x, const float* factors, const float* scales,
                        size_t block, size_t blocks, float* y, bool past_cache);

// y = x * factors[b]; y may be x.
void ScaleBlocks(const float* x, const float* factors, size_t block, size_t blocks, float* y);

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_BLOCK_KERNELS_H_
