// SGD for one element (nn/optim/sgd.h has the formula): what the host's vectors have the bits of, and what a
// GPU computes.
#ifndef HALFTONE_NN_OPTIM_SGD_RULE_H_
#define HALFTONE_NN_OPTIM_SGD_RULE_H_

#include <cstdint>

namespace halftone {

enum class SgdKind { kPlain, kMomentum, kNesterov };

// What is the same for all elements in one step.
template <typename T>
struct SgdScalarsOf {
  T gradient_factor;
  T learning_rate;
  T weight_decay;
  T keep;       // of the old momentum: 0 in the first step
  T take;       // of the gradient: 1 in the first step, then 1 - dampening
  T lookahead;  // Nesterov's momentum
};
using SgdScalars = SgdScalarsOf<float>;

struct SgdRule {
  SgdKind kind = SgdKind::kPlain;
  double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;

  // Another learning rate, and another momentum unless that is NaN.
  constexpr void Follow(double rate, double other_momentum) {
    learning_rate = rate;
    if (other_momentum == other_momentum) momentum = other_momentum;
  }

  // Of step t = 1, 2, ..., with the weight decay or without.
  template <typename T>
  constexpr SgdScalarsOf<T> At(int64_t t, bool decays, T gradient_factor) const {
    return {.gradient_factor = gradient_factor,
            .learning_rate = static_cast<T>(learning_rate),
            .weight_decay = decays ? static_cast<T>(weight_decay) : 0,
            .keep = t == 1 ? 0 : static_cast<T>(momentum),
            .take = t == 1 ? 1 : static_cast<T>(1 - dampening),
            .lookahead = static_cast<T>(momentum)};
  }

  // The new value; `m` is the momentum, which kPlain leaves alone.
  template <typename T>
  constexpr T Update(const SgdScalarsOf<T>& s, T value, T grad, T& m) const {
    const T g = s.gradient_factor * grad + s.weight_decay * value;
    T direction = g;
    if (kind != SgdKind::kPlain) {
      m = s.keep * m + s.take * g;
      direction = kind == SgdKind::kMomentum ? m : g + s.lookahead * m;
    }
    return value - s.learning_rate * direction;
  }
};

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_SGD_RULE_H_
