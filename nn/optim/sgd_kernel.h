// The element-wise half of SGD, private to sgd.cc.
#ifndef HALFTONE_NN_OPTIM_SGD_KERNEL_H_
#define HALFTONE_NN_OPTIM_SGD_KERNEL_H_

#include <cstddef>

namespace halftone {

enum class SgdKind { kPlain, kMomentum, kNesterov };

struct SgdScalars {
  float gradient_factor;
  float learning_rate;
  float weight_decay;
  float keep;       // of the old momentum: 0 in the first step
  float take;       // of the gradient: 1 in the first step, then 1 - dampening
  float lookahead;  // Nesterov's momentum
};

// g = gradient_factor * grad + weight_decay * value, m = keep * m + take * g; then value goes along g
// (kPlain, where `momentum` may be null), m (kMomentum) or g + lookahead * m (kNesterov).
void SgdKernel(SgdKind kind, const SgdScalars& s, float* value, const float* grad, float* momentum, size_t n);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_SGD_KERNEL_H_
