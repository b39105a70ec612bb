// half: IEEE 754 binary16, a storage type of 2 bytes.
//
//   1 sign, 5 exponent and 10 mantissa bits; bias 15
//   largest finite 65504, smallest normal 2^-14, smallest subnormal 2^-24
//   infinities, NaNs, signed zeros
//
// Values from 65520 on round to infinity, values up to 2^-25 to zero.
//
//   const half h(0.1f);            // rounded to nearest even; never implicit
//   const float f = h + 1;         // arithmetic is float's
//   const half back(f);
#ifndef HALFTONE_FP16_HALF_H_
#define HALFTONE_FP16_HALF_H_

#include "fp16/minifloat.h"

namespace halftone {

class half : public minifloat::Float16<half, minifloat::kBinary16> {
 public:
  using Float16::Float16;
};

static_assert(sizeof(half) == 2 && std::is_trivial_v<half> && std::is_standard_layout_v<half>);

}  // namespace halftone

template <>
struct std::numeric_limits<halftone::half> : halftone::minifloat::Limits<halftone::half> {};

template <>
struct std::hash<halftone::half> : halftone::minifloat::Hash<halftone::half> {};

#endif  // HALFTONE_FP16_HALF_H_
