// Arrays to and from half and bfloat16: SIMD, the instruction set chosen at run time, one thread.
//
// Narrowing rounds to nearest even, with overflow to infinity. Every element has exactly the bits that the
// value type gives (half(x), bfloat16(x), static_cast<float>(h)), NaNs included, on every instruction set.
//
//   std::vector<half> halves(floats.size());
//   Convert(floats.data(), halves.data(), floats.size());
#ifndef HALFTONE_FP16_CONVERT_H_
#define HALFTONE_FP16_CONVERT_H_

#include <cstddef>

#include "fp16/bfloat16.h"
#include "fp16/half.h"

namespace halftone {

// from[0, n) to to[0, n). The two may not overlap; neither need be aligned for SIMD. n == 0 touches nothing.
void Convert(const float* from, half* to, size_t n);
void Convert(const half* from, float* to, size_t n);
void Convert(const float* from, bfloat16* to, size_t n);
void Convert(const bfloat16* from, float* to, size_t n);

}  // namespace halftone

#endif  // HALFTONE_FP16_CONVERT_H_
