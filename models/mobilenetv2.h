// MobileNetV2 for 32 x 32 images.
//
// Sandler, Howard, Zhu, Zhmoginov, Chen: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
// The width is the first convolution's channels; all others are multiples of it as in the paper's Table 2,
// rounded to multiples of 8. Names are torchvision's; against the net for ImageNet the first convolution and
// the first block of 24 channels have stride 1.
#ifndef HALFTONE_MODELS_MOBILENETV2_H_
#define HALFTONE_MODELS_MOBILENETV2_H_

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

// act(bn(conv(x))), the convolution padded so that only the stride makes the map smaller.
class ConvBnAct : public nn::Module {
 public:
  ConvBnAct(const nn::Conv2dOptions& conv, const ops::Activation& activation)
      : conv_(Padded(conv)), bn_({.channels = conv.out}), act_(activation) {}

  nn::Variable Forward(const nn::Variable& x) override { return bn_.Forward(conv_(x), act_); }

  void Visit(nn::Visitor& v) override {
    v("0", conv_);
    v("1", bn_);
    v("2", act_);
  }

 private:
  static nn::Conv2dOptions Padded(nn::Conv2dOptions conv) {
    conv.padding = (conv.kernel - 1) / 2;
    conv.bias = false;
    return conv;
  }

  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
  nn::ActivationLayer act_;
};

// From few channels to `expansion` times as many, a depthwise convolution there, and back to few without an
// activation: [N, H, W, in] -> [N, H / stride, W / stride, out]. Where the shape stays, x is added.
class InvertedResidual : public nn::Module {
 public:
  InvertedResidual(int64_t in, int64_t out, int stride, int64_t expansion, const ops::Activation& activation)
      : depthwise_({.in = in * expansion,
                    .out = in * expansion,
                    .stride = stride,
                    .groups = static_cast<int>(in * expansion)},
                   activation),
        project_({.in = in * expansion, .out = out, .kernel = 1, .bias = false}),
        bn_({.channels = out}),
        adds_(stride == 1 && in == out) {
    if (expansion > 1) {
      expand_.emplace(nn::Conv2dOptions{.in = in, .out = in * expansion, .kernel = 1}, activation);
    }
  }

  nn::Variable Forward(const nn::Variable& x) override {
    const nn::Variable y = project_(depthwise_(expand_.has_value() ? (*expand_)(x) : x));
    return adds_ ? bn_.Forward(y, x) : bn_(y);
  }

  void Visit(nn::Visitor& v) override {
    int i = 0;
    const auto next = [&] { return absl::StrCat("conv.", i++); };
    if (expand_.has_value()) v(next(), *expand_);
    v(next(), depthwise_);
    v(next(), project_);
    v(next(), bn_);
  }

 private:
  std::optional<ConvBnAct> expand_;
  ConvBnAct depthwise_;
  nn::Conv2d project_;
  nn::BatchNorm2d bn_;
  bool adds_;
};

class MobileNetV2 : public nn::Module {
 public:
  explicit MobileNetV2(const ModelConfig& c)
      : dropout_(c.dropout), classifier_({.in = Last(c), .out = c.num_classes}) {
    int64_t in = Channels(c, 32);
    features_.push_back(
        std::make_unique<ConvBnAct>(nn::Conv2dOptions{.in = 3, .out = in, .kernel = 3}, *c.activation));
    for (const Stage& stage : kStages) {
      const int64_t out = Channels(c, stage.channels);
      for (int i = 0; i < stage.blocks; ++i, in = out) {
        features_.push_back(std::make_unique<InvertedResidual>(in, out, i == 0 ? stage.stride : 1,
                                                               stage.expansion, *c.activation));
      }
    }
    features_.push_back(
        std::make_unique<ConvBnAct>(nn::Conv2dOptions{.in = in, .out = Last(c), .kernel = 1}, *c.activation));
  }

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable x = images;
    for (const auto& layer : features_) x = (*layer)(x);
    return classifier_(dropout_(nn::Flatten(nn::AdaptiveAvgPool2d(x, 1, 1))));
  }

  void Visit(nn::Visitor& v) override {
    for (size_t i = 0; i < features_.size(); ++i) v(absl::StrCat("features.", i), *features_[i]);
    v("classifier.0", dropout_);
    v("classifier.1", classifier_);
  }

 private:
  struct Stage {
    int64_t expansion;
    int channels, blocks, stride;  // the stride is the first block's
  };
  static constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 1},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

  // The nearest multiple of 8 (halves go up), at least 8, and never more than a tenth below.
  static int64_t Rounded(double channels) {
    const int64_t nearest = std::max<int64_t>(8, static_cast<int64_t>(channels + 4) / 8 * 8);
    return static_cast<double>(nearest) < 0.9 * channels ? nearest + 8 : nearest;
  }
  static double Multiplier(const ModelConfig& c) { return static_cast<double>(c.width) / 32; }
  static int64_t Channels(const ModelConfig& c, int published) { return Rounded(published * Multiplier(c)); }
  // The last convolution is not made narrower than published.
  static int64_t Last(const ModelConfig& c) { return Rounded(1280 * std::max(1.0, Multiplier(c))); }

  std::vector<std::unique_ptr<nn::Module>> features_;
  nn::DropoutLayer dropout_;
  nn::Linear classifier_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_MOBILENETV2_H_
