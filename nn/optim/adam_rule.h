// Adam and AdamW for one element (nn/optim/adam.h has the formulas): what the host's vectors have the bits
// of, and what a GPU computes.
#ifndef HALFTONE_NN_OPTIM_ADAM_RULE_H_
#define HALFTONE_NN_OPTIM_ADAM_RULE_H_

#include <cmath>
#include <cstdint>

namespace halftone {

// base^exponent, exponent >= 0, by squaring: products alone, so the same bits everywhere. Within `exponent`
// roundings of the truth.
constexpr double Power(double base, int64_t exponent) {
  double power = 1;
  for (; exponent > 0; exponent /= 2, base *= base) {
    if (exponent % 2 == 1) power *= base;
  }
  return power;
}

// What is the same for all elements in one step.
template <typename T>
struct AdamScalarsOf {
  T gradient_factor;
  T shrink;        // of the weight itself, AdamW: 1 - learning_rate * weight_decay; Adam: 1
  T weight_decay;  // added to the gradient, Adam; AdamW: 0
  T take1;         // 1 - beta1
  T beta2;
  T take2;        // 1 - beta2
  T step_size;    // learning_rate / (1 - beta1^t)
  T correction2;  // sqrt(1 - beta2^t)
  T epsilon;
};
using AdamScalars = AdamScalarsOf<float>;

struct AdamRule {
  bool decoupled = false;  // AdamW
  double learning_rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weight_decay = 0;

  // Another learning rate, and another beta1 unless that is NaN.
  constexpr void Follow(double rate, double momentum) {
    learning_rate = rate;
    if (momentum == momentum) beta1 = momentum;
  }

  // Of step t = 1, 2, ..., with the weight decay or without.
  template <typename T>
  constexpr AdamScalarsOf<T> At(int64_t t, bool decays, T gradient_factor) const {
    const double decay = decays ? weight_decay : 0;
    return {.gradient_factor = gradient_factor,
            .shrink = decoupled ? static_cast<T>(1 - learning_rate * decay) : 1,
            .weight_decay = decoupled ? 0 : static_cast<T>(decay),
            .take1 = static_cast<T>(1 - beta1),
            .beta2 = static_cast<T>(beta2),
            .take2 = static_cast<T>(1 - beta2),
            .step_size = static_cast<T>(learning_rate / (1 - Power(beta1, t))),
            .correction2 = static_cast<T>(std::sqrt(1 - Power(beta2, t))),
            .epsilon = static_cast<T>(epsilon)};
  }

  // The new value; m and v are the moments.
  template <typename T>
  constexpr T Update(const AdamScalarsOf<T>& s, T value, T grad, T& m, T& v) const {
    const T w = s.shrink * value;
    const T g = s.gradient_factor * grad + s.weight_decay * w;
    m = m + s.take1 * (g - m);
    v = s.beta2 * v + s.take2 * g * g;
    return w - s.step_size * m / (std::sqrt(v) / s.correction2 + s.epsilon);
  }
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_ADAM_RULE_H_
