// Residual networks for 32 x 32 images, ResNet18 and ResNet20.
//
// He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016. With w = width, stage k has
// maps of [N, 32 / 2^(k-1), 32 / 2^(k-1), 2^(k-1) w]. Names are torchvision's; against its ResNet18 for
// ImageNet the first convolution is 3 x 3 with stride 1 and there is no max pool. Where a block changes the
// shape, its shortcut is a 1 x 1 convolution with a norm (the paper's option B).
#ifndef HALFTONE_MODELS_RESNET_H_
#define HALFTONE_MODELS_RESNET_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

// The shortcut of a block that changes the shape.
class Projection : public nn::Module {
 public:
  Projection(int64_t in, int64_t out, int stride)
      : conv_({.in = in, .out = out, .kernel = 1, .stride = stride, .bias = false}), bn_({.channels = out}) {}

  nn::Variable Forward(const nn::Variable& x) override { return bn_(conv_(x)); }

  void Visit(nn::Visitor& v) override {
    v("0", conv_);
    v("1", bn_);
  }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
};

// act(bn(conv(act(bn(conv(x))))) + shortcut(x)): [N, H, W, in] -> [N, H / stride, W / stride, out].
class BasicBlock : public nn::Module {
 public:
  BasicBlock(int64_t in, int64_t out, int stride, const ops::Activation& activation)
      : conv1_({.in = in, .out = out, .stride = stride, .padding = 1, .bias = false}),
        bn1_({.channels = out}),
        act1_(activation),
        conv2_({.in = out, .out = out, .padding = 1, .bias = false}),
        bn2_({.channels = out}),
        act2_(activation) {
    if (stride != 1 || in != out) downsample_.emplace(in, out, stride);
  }

  nn::Variable Forward(const nn::Variable& x) override {
    const nn::Variable y = conv2_(bn1_.Forward(conv1_(x), act1_));
    return bn2_.Forward(y, downsample_.has_value() ? (*downsample_)(x) : x, act2_);
  }

  void Visit(nn::Visitor& v) override {
    v("conv1", conv1_);
    v("bn1", bn1_);
    v("act1", act1_);
    v("conv2", conv2_);
    v("bn2", bn2_);
    v("downsample", downsample_);
    v("act2", act2_);
  }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::ActivationLayer act1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  std::optional<Projection> downsample_;
  nn::ActivationLayer act2_;
};

class ResNet : public nn::Module {
 public:
  // As many stages as there are numbers, each of so many blocks.
  ResNet(const ModelConfig& c, absl::Span<const int> blocks)
      : conv1_({.in = 3, .out = c.width, .padding = 1, .bias = false}),
        bn1_({.channels = c.width}),
        act_(*c.activation),
        fc_({.in = c.width << (blocks.size() - 1), .out = c.num_classes}) {
    int64_t in = c.width, out = c.width;
    for (const int count : blocks) {
      Stage& stage = stages_.emplace_back();
      for (int i = 0; i < count; ++i, in = out) {
        const int stride = i == 0 && stages_.size() > 1 ? 2 : 1;
        stage.push_back(std::make_unique<BasicBlock>(in, out, stride, *c.activation));
      }
      out *= 2;
    }
  }

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable x = bn1_.Forward(conv1_(images), act_);
    for (const Stage& stage : stages_) {
      for (const auto& block : stage) x = (*block)(x);
    }
    return fc_(nn::Flatten(nn::AdaptiveAvgPool2d(x, 1, 1)));
  }

  void Visit(nn::Visitor& v) override {
    v("conv1", conv1_);
    v("bn1", bn1_);
    v("act", act_);
    for (size_t k = 0; k < stages_.size(); ++k) {
      for (size_t i = 0; i < stages_[k].size(); ++i) {
        v(absl::StrCat("layer", k + 1, ".", i), *stages_[k][i]);
      }
    }
    v("fc", fc_);
  }

 private:
  using Stage = std::vector<std::unique_ptr<BasicBlock>>;

  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::ActivationLayer act_;
  std::vector<Stage> stages_;
  nn::Linear fc_;
};

// The paper's 18 layers, for ImageNet's widths: 64, 128, 256, 512.
class ResNet18 : public ResNet {
 public:
  explicit ResNet18(const ModelConfig& c) : ResNet(c, {2, 2, 2, 2}) {}
};

// The paper's 20 layers for CIFAR-10: 16, 32, 64.
class ResNet20 : public ResNet {
 public:
  explicit ResNet20(const ModelConfig& c) : ResNet(c, {3, 3, 3}) {}
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_RESNET_H_
