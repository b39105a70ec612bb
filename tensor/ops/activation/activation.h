// Activations: functions of one number, applied to every element. Each is a row of Activations().
//
// Backward is given either x or y. y costs no memory where the next op keeps it anyway, as linear layers and
// convolutions do, and so it is y wherever f'(x) follows from y as well as the dtype of y allows. From y of
// 16 bits the slope of sigmoid, tanh, softplus and elu is off by up to half an epsilon, and is 0 once y has
// rounded to its limit; those of relu, relu6 and leaky_relu are exact. gelu, swish, mish and hardswish take
// two x to one y, and prelu does where a < 0, so these keep x.
#ifndef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// The largest errors, by the dtype that the elements have in memory.
struct ActivationErrors {
  double f32 = 0;
  double f16 = 0;
  double bf16 = 0;
};

struct Activation {
  absl::string_view name;     // as in the configuration of a model: "relu"
  absl::string_view formula;  // f(x)
  absl::string_view kink;     // f' where f has a kink; empty: it has none
  // What backward is given: the output y = f(x) if true, else the input x.
  bool saves_output = false;
  // The start of `a`, a number that is learned, one for each place of the network; nullopt: there is none.
  std::optional<double> learned = std::nullopt;

  // a: anything where there is none.
  double (*f)(double x, double a);
  double (*df)(double saved, double a);               // f'(x) from what was saved
  double (*df_da)(double saved, double a) = nullptr;  // of a learned one: the derivative for a

  // What the tests hold every instruction set to. Of y, in units in the last place of f(x), so that 0.5 is
  // correct rounding; results below 2^-96 count as if they were that large.
  ActivationErrors error;
  // Of dx from the saved tensor, in epsilons of dy, since f' is around 1 at most.
  ActivationErrors gradient_error;
};

absl::Span<const Activation> Activations();
// Null if there is none of that name.
const Activation* FindActivation(absl::string_view name);

// `learned` below is a, [1] in float32 or float64, for the rows that have it, and undefined for the others.

// f(x), computed in float32 (float64 for f64) and rounded once. NaN stays NaN; an infinity gives the limit.
Tensor ActivationForward(const Activation& activation, const Tensor& x, const Tensor& learned = Tensor());

// dx = dy * f'(x), likewise, and 0 where f'(x) is 0, even for a dy that is infinite. saved: y or x, as
// activation.saves_output says; of dy's dtype and shape.
Tensor ActivationBackward(const Activation& activation, const Tensor& saved, const Tensor& dy,
                          const Tensor& learned = Tensor());

// The gradient of a, of the dtype and shape of `learned`: the sum of dy * df/da over all elements, the same
// bits for any number of threads.
Tensor ActivationBackwardLearned(const Activation& activation, const Tensor& saved, const Tensor& dy,
                                 const Tensor& learned);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_H_
