// The element-wise half of Adam and AdamW, private to adam.cc.
#ifndef HALFTONE_NN_OPTIM_ADAM_KERNEL_H_
#define HALFTONE_NN_OPTIM_ADAM_KERNEL_H_

#include <cstddef>

namespace halftone {

struct AdamScalars {
  float gradient_factor;
  float shrink;        // of the weight itself, AdamW: 1 - learning_rate * weight_decay; Adam: 1
  float weight_decay;  // added to the gradient, Adam; AdamW: 0
  float take1;         // 1 - beta1
  float beta2;
  float take2;        // 1 - beta2
  float step_size;    // learning_rate / (1 - beta1^t)
  float correction2;  // sqrt(1 - beta2^t)
  float epsilon;
};

// w = shrink * value, g = gradient_factor * grad + weight_decay * w, m += take1 * (g - m), v = beta2 * v +
// take2 * g * g; value = w - step_size * m / (sqrt(v) / correction2 + epsilon).
void AdamKernel(const AdamScalars& s, float* value, const float* grad, float* exp_avg, float* exp_avg_sq,
                size_t n);

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_ADAM_KERNEL_H_
