// The element-wise half of Adam and AdamW, private to adam.cc.
#ifndef HALFTONE_NN_OPTIM_ADAM_KERNEL_H_
#define HALFTONE_NN_OPTIM_ADAM_KERNEL_H_

#include <cstddef>

#include "nn/optim/adam_rule.h"

namespace halftone {

// AdamRule::Update for n elements.
void AdamKernel(const AdamScalars& s, float* value, const float* grad, float* exp_avg, float* exp_avg_sq,
                size_t n);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_ADAM_KERNEL_H_
