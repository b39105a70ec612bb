// The inner loops of quant/block_format.h over whole blocks, on the widest vectors that the processor has.
// `block` is 16 or 32. No input overlaps an output unless said so.
#ifndef HALFTONE_QUANT_BLOCK_KERNELS_H_
#define HALFTONE_QUANT_BLOCK_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "quant/block_scale.h"
#include "quant/grid.h"

namespace halftone::quant_internal {

// Blocks that are done together: they stay in a core's first cache.
inline constexpr size_t kRun = 64;

// By block of a run.
struct BlockScales {
  int32_t amax[kRun] =
      {};  // the bits of the largest magnitude: infinities above numbers, NaNs above infinities
  uint8_t codes[kRun];
  float factors[kRun];  // what elements are multiplied by before they are rounded
  float scales[kRun];   // and what their values are multiplied by
};

// amax as BlockScales has it, of any number of blocks. Returns the largest.
int32_t BlockMagnitudes(const float* x, size_t block, size_t blocks, int32_t* amax);

// The rest of s from s->amax, as quant/block_format.h says. Where that is a NaN's, the code and the scale are
// NaN and the factor is any.
void MakeE8m0Scales(const E8m0Rule& rule, size_t blocks, BlockScales* s);
void MakeE4m3Scales(float tensor_scale, size_t blocks, BlockScales* s);

// Elements of block b are x * factors[b] rounded to nearest even: their codes, or their values times
// scales[b] (where x is not finite, x). past_cache: as in quant/scaled_kernels.h; y is aligned to 64 bytes
// then.
void EncodeBlocks(const SignedZeroGrid& grid, const float* x, const float* factors, size_t block,
                  size_t blocks, uint8_t* codes);
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
