// The inner loops of fp16/safety.h, over one block of numbers at a time, on the widest vectors that the
// processor has.
#ifndef HALFTONE_FP16_SAFETY_KERNELS_H_
#define HALFTONE_FP16_SAFETY_KERNELS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace halftone::safety_internal {

// Numbers in a block at most: with the temporaries they stay in a core's first-level cache, and no counter of
// a byte overflows in ScanExponents, where 16 bytes are the least that a vector has.
inline constexpr size_t kBlock = 3840;
// Every block is a multiple of it: it is padded with zeros.
inline constexpr size_t kGroup = 64;

// Floats by the field of their biased exponent: 0 for zeros and subnormals, 255 for infinities and NaNs.
struct Exponents {
  std::array<uint32_t, 256> count = {};
  int lowest = 256;  // field other than 0 that occurs; 256 where there is none
  int highest = 0;
};
Exponents ScanExponents(const float* x, size_t n);

// A format's values on the lanes of T, scale included. A number x and its rounded value lie in one binade, or
// the latter is the next power of two; so x + c - c, with c 1.5 times the power of two whose last place is
// the spacing of the format's values in x's binade, rounds x to them as the processor rounds: to nearest
// even.
template <typename T, typename Bits>
struct Grid {
  Bits lowest_exponent = 0;    // of 2^e as T's bits: the spacing is no finer below
  Bits exponent_to_magic = 0;  // what added to the bits of 2^e makes them those of c
  T subnormal_below = 0;       // a smaller magnitude becomes a subnormal value or 0
  T underflow_to = 0;          // a magnitude up to this becomes 0
};
using FloatGrid = Grid<float, uint32_t>;
using DoubleGrid = Grid<double, uint64_t>;

// The largest magnitude, and the smallest one other than 0 (infinity where there is none).
float MaxMagnitude(const float* x, size_t n);
float MinMagnitude(const float* x, size_t n);

// Of all numbers of a block, as FormatStats has them, except that zeros, where there may be any, are among
// the underflows.
struct BlockErrors {
  size_t exact = 0;
  size_t subnormals = 0;
  size_t underflows = 0;
  double relative = 0;  // the sum of the relative errors
  double largest_relative = 0;
  double squared_errors = 0;
  double squares = 0;
};

// Formats that one pass over a block measures at most.
inline constexpr size_t kFormatsAtOnce = 4;

// Measures the block on each of the grids, at most kFormatsAtOnce. `has_zeros`: may be false only where no
// number is 0. `has_subnormals`: may be false only where no number becomes a subnormal value or 0 on any
// grid. No number may be infinite, NaN or, in T, subnormal. Floats: magnitudes such that neither squares nor
// x + c overflow.
void Measure(const float* x, size_t n, bool has_zeros, bool has_subnormals, absl::Span<const FloatGrid> grids,
             absl::Span<BlockErrors> results);
void Measure(const double* x, size_t n, bool has_zeros, bool has_subnormals,
             absl::Span<const DoubleGrid> grids, absl::Span<BlockErrors> results);

}  // namespace halftone::safety_internal

#endif  // HALFTONE_FP16_SAFETY_KERNELS_H_
