// A small convolutional network: four times (3x3 convolution, batch norm, activation, 2x2 max pool), mean, linear.
//
// With w = width the maps are [N, 16, 16, w], [N, 8, 8, 2w], [N, 4, 4, 4w], [N, 2, 2, 8w].
#ifndef HALFTONE_MODELS_CNN_H_
#define HALFTONE_MODELS_CNN_H_

#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

class Cnn : public nn::Module {
 public:
  explicit Cnn(const ModelConfig& c)
      : act_(*c.activation),
        conv1_({.in = 3, .out = c.width, .padding = 1, .bias = false}), bn1_({.channels = c.width}),
        conv2_({.in = c.width, .out = 2 * c.width, .padding = 1, .bias = false}), bn2_({.channels = 2 * c.width}),
        conv3_({.in = 2 * c.width, .out = 4 * c.width, .padding = 1, .bias = false}), bn3_({.channels = 4 * c.width}),
        conv4_({.in = 4 * c.width, .out = 8 * c.width, .padding = 1, .bias = false}), bn4_({.channels = 8 * c.width}),
        fc_({.in = 8 * c.width, .out = c.num_classes}) {}

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable x = nn::MaxPool2d(bn1_.Forward(conv1_(images), act_), 2, 2);
    x = nn::MaxPool2d(bn2_.Forward(conv2_(x), act_), 2, 2);
    x = nn::MaxPool2d(bn3_.Forward(conv3_(x), act_), 2, 2);
    x = nn::MaxPool2d(bn4_.Forward(conv4_(x), act_), 2, 2);
    return fc_(nn::Flatten(nn::AdaptiveAvgPool2d(x, 1, 1)));
  }

  void Visit(nn::Visitor& v) override {
    v("conv1", conv1_), v("bn1", bn1_);
    v("conv2", conv2_), v("bn2", bn2_);
    v("conv3", conv3_), v("bn3", bn3_);
    v("conv4", conv4_), v("bn4", bn4_);
    v("fc", fc_);
  }

 private:
  const ops::Activation& act_;
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  nn::Conv2d conv3_;
  nn::BatchNorm2d bn3_;
  nn::Conv2d conv4_;
  nn::BatchNorm2d bn4_;
  nn::Linear fc_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_CNN_H_
