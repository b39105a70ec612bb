// The scales of blocks, as quant/block_format.h says, from their largest magnitudes.
#ifndef HALFTONE_QUANT_BLOCK_SCALES_H_
#define HALFTONE_QUANT_BLOCK_SCALES_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "quant/block_format.h"

namespace halftone::quant_internal {

// Blocks that are done together: they stay in a core's first cache.
inline constexpr size_t kRun = 64;

// By block of a run.
struct BlockScales {
  uint32_t amax[kRun];  // the bits of the largest magnitude, an infinity's or a NaN's too
  uint8_t codes[kRun];
  float factors[kRun];  // what elements are multiplied by before they are rounded
  float scales[kRun];   // and what their values are multiplied by
};

inline constexpr uint32_t kInfinityBits = 0x7f800000;

// All but amax, from amax. Where that is a NaN's, the code and the scale are NaN and the factor is any.
void MakeScales(const BlockFormat& format, BlockScaleRule rule, float tensor_scale, size_t blocks, BlockScales* s);

// scales[b]: that of codes[b].
void ScalesOfCodes(const BlockFormat& format, absl::Span<const uint8_t> codes, float tensor_scale, float* scales);

}  // namespace halftone::quant_internal

#endif  // HALFTONE_QUANT_BLOCK_SCALES_H_
