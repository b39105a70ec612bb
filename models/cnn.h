// A small convolutional network: four times (3x3 convolution, batch norm, activation, 2x2 max pool), mean,
// linear.
//
// With w = width the maps are [N, 16, 16, w], [N, 8, 8, 2w], [N, 4, 4, 4w], [N, 2, 2, 8w].
#ifndef HALFTONE_MODELS_CNN_H_
#define HALFTONE_MODELS_CNN_H_

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

class Cnn : public nn::Module {
 public:
  explicit Cnn(const ModelConfig& c) : fc_({.in = 8 * c.width, .out = c.num_classes}) {
    for (int64_t in = 3, out = c.width; out <= 8 * c.width; in = out, out *= 2) {
      stages_.push_back(std::make_unique<Stage>(in, out, *c.activation));
    }
  }

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable x = images;
    for (const auto& stage : stages_) {
      x = nn::MaxPool2d(stage->bn.Forward(stage->conv(x), stage->act), 2, 2);
    }
    return fc_(nn::Flatten(nn::AdaptiveAvgPool2d(x, 1, 1)));
  }

  void Visit(nn::Visitor& v) override {
    for (size_t i = 0; i < stages_.size(); ++i) {
      v(absl::StrCat("conv", i + 1), stages_[i]->conv);
      v(absl::StrCat("bn", i + 1), stages_[i]->bn);
      v(absl::StrCat("act", i + 1), stages_[i]->act);
    }
    v("fc", fc_);
  }

 private:
  struct Stage {
    Stage(int64_t in, int64_t out, const ops::Activation& activation)
        : conv({.in = in, .out = out, .padding = 1, .bias = false}), bn({.channels = out}), act(activation) {}

    nn::Conv2d conv;
    nn::BatchNorm2d bn;
    nn::ActivationLayer act;
  };

  std::vector<std::unique_ptr<Stage>> stages_;
  nn::Linear fc_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_CNN_H_
