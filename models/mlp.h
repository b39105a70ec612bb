// A multilayer perceptron with one hidden layer: [N, 28, 28, 1] -> 784 -> width -> classes.
#ifndef HALFTONE_MODELS_MLP_H_
#define HALFTONE_MODELS_MLP_H_

#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

class Mlp : public nn::Module {
 public:
  explicit Mlp(const ModelConfig& c)
      : fc1_({.in = 28 * 28, .out = c.width}),
        act_(*c.activation),
        fc2_({.in = c.width, .out = c.num_classes}) {}

  nn::Variable Forward(const nn::Variable& x) override { return fc2_(act_(fc1_(nn::Flatten(x)))); }

  void Visit(nn::Visitor& v) override {
    v("fc1", fc1_);
    v("act", act_);
    v("fc2", fc2_);
  }

 private:
  nn::Linear fc1_;
  nn::ActivationLayer act_;
  nn::Linear fc2_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_MLP_H_
