// The element-wise half of SGD, private to sgd.cc.
#ifndef HALFTONE_NN_OPTIM_SGD_KERNEL_H_
#define HALFTONE_NN_OPTIM_SGD_KERNEL_H_

#include <cstddef>

#include "nn/optim/sgd_rule.h"

namespace halftone {

// SgdRule::Update for n elements. `momentum` may be null where the kind is kPlain.
void SgdKernel(SgdKind kind, const SgdScalars& s, float* value, const float* grad, float* momentum, size_t n);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_SGD_KERNEL_H_
