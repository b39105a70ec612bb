// bfloat16: the upper half of a float, a storage type of 2 bytes.
//
//   1 sign, 8 exponent and 7 mantissa bits; bias 127
//   largest finite (2 - 2^-7) 2^127, about 3.39e38; smallest normal 2^-126, smallest subnormal 2^-133
//   infinities, NaNs, signed zeros
//
// Values from (2 - 2^-8) 2^127 on round to infinity, values up to 2^-134 to zero. Subnormals are kept, unlike
// in x86's VCVTNEPS2BF16.
//
//   const bfloat16 b(0.1f);        // rounded to nearest even; never implicit
//   const float f = b + 1;         // arithmetic is float's
//   const bfloat16 back(f);
#ifndef HALFTONE_FP16_BFLOAT16_H_
#define HALFTONE_FP16_BFLOAT16_H_

#include "fp16/minifloat.h"

namespace halftone {

class bfloat16 : public minifloat::Float16<bfloat16, minifloat::kBfloat16> {
 public:
  using Float16::Float16;
};

static_assert(sizeof(bfloat16) == 2 && std::is_trivial_v<bfloat16> && std::is_standard_layout_v<bfloat16>);

}  // namespace halftone

template <>
struct std::numeric_limits<halftone::bfloat16> : halftone::minifloat::Limits<halftone::bfloat16> {};

template <>
struct std::hash<halftone::bfloat16> : halftone::minifloat::Hash<halftone::bfloat16> {};

#endif  // HALFTONE_FP16_BFLOAT16_H_
