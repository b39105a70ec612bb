// Codebooks to start from, in units of the scale; training may move their values (quant/codebook.h).
//
// Of 2^bits codes a grid may leave some without a value of their own, that of -0 for example. These get the
// middle of the widest gap between neighbours, one after the other; of equally wide gaps the one farthest
// from 0 is filled, of two equally far the positive one. So the values are always distinct.
#ifndef HALFTONE_QUANT_CODEBOOK_INIT_H_
#define HALFTONE_QUANT_CODEBOOK_INIT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/codebook.h"

namespace halftone {

// The finite values of a small float, divided by the largest: within [-1, 1], or [0, 1] without sign, where
// the sign's bit is one more of mantissa. bits: 2, 3, 4, 6 or 8; InvalidArgument for others.
//
//   bits  signed    without sign  with sign, the values that fill gaps in brackets
//   2     e1m0      e1m1          -1 0 [1/2] 1
//   3     e2m0      e2m1          -1 -1/2 -1/4 0 1/4 1/2 [3/4] 1
//   4     e2m1      e2m2          0 .5 1 1.5 2 3 4 [5] 6 and their negatives but -5, over 6
//   6     e3m2      e3m3          up to 28, [26]
//   8     e4m3fn    e4m4          up to 448, [400 432 -432]: also the codes of NaN are free
//
// e1m0 and e2m0 are what the rule of the others gives: the leading bit alone, zero in the exponent 0, no
// subnormals. Sources: OCP, Microscaling Formats (MX) Specification 1.0, 2023 (e2m1, e3m2) and OFP8, 2023
// (e4m3fn).
absl::StatusOr<Codebook> MinifloatCodebook(int bits, bool is_signed = true);

// Sums of powers of two, divided by the largest sum: n terms, each 0 or one of three powers of its own, and
// for an odd number of bits one that is 0 or one power; one bit is the sign's unless there is none. bits: 2
// to 8; InvalidArgument for others. Li, Dong, Wang, "Additive powers-of-two quantization", ICLR 2020,
// section 2.2; which power belongs to which term is as in the authors' code.
absl::StatusOr<Codebook> AdditivePowersOfTwoCodebook(int bits, bool is_signed = true);

struct QuantileOptions {
  // Of Lloyd and Max: each value moves to the mean of its elements. Each one makes the mean squared error
  // smaller, or leaves it as it is.
  int lloyd_iterations = 50;
  // Whether one of the values is exactly 0, be there zeros or not.
  bool with_zero = false;
  uint64_t seed = 0;  // of the sample that is drawn of more than 2^18 elements
};

// `size` values for data of this distribution: the quantiles (i + 1/2) / size of x / scale, then improved
// (Lloyd, "Least squares quantization in PCM", 1982). Rows and scales are as in quant/codebook.h.
//
// A number that is 1/size of the data or more, like 0 behind a ReLU or the 6 of a ReLU6, gets exactly one
// value and keeps it. Data of one sign get values of that sign (and 0 with with_zero) alone. Where there are
// fewer different numbers than values, all are values, and gaps are filled. Elements that are infinite or NaN
// are left out. InvalidArgument: a size that is not 2 to 256; no finite element other than 0.
absl::StatusOr<Codebook> QuantileCodebook(absl::Span<const float> x, absl::Span<const float> scales, int size,
                                          const QuantileOptions& options = {});

}  // namespace halftone

#endif  // HALFTONE_QUANT_CODEBOOK_INIT_H_
