// Softmax as arithmetic of a low precision would give it.
#ifndef HALFTONE_TENSOR_OPS_CROSS_ENTROPY_ROUNDED_SOFTMAX_H_
#define HALFTONE_TENSOR_OPS_CROSS_ENTROPY_ROUNDED_SOFTMAX_H_

#include <cstddef>
#include <vector>

#include "fp16/format.h"

namespace halftone::ops {

// The softmax of n numbers z, in place: z, exp(z - max z), their sum, and the quotients are each rounded to
// nearest even in `format`, and each addition of the sum too; what is too large becomes infinity (or the
// format's largest number, where it has no infinity).
void RoundedSoftmax(const FloatFormat& format, std::vector<double>& z);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CROSS_ENTROPY_ROUNDED_SOFTMAX_H_
