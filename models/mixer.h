// MLP-Mixer: [B, 32, 32, 3] -> 64 patches -> blocks that mix first tokens, then channels -> mean -> classes.
//
// Tolstikhin et al.: "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021, at the size of CIFAR.
// Names as timm's.
#ifndef HALFTONE_MODELS_MIXER_H_
#define HALFTONE_MODELS_MIXER_H_

#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/model.h"
#include "models/patch_embed.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

// Glorot and Bengio 2010.
inline nn::Init XavierUniform(int64_t in, int64_t out) {
  return nn::Init::Uniform(std::sqrt(6.0 / static_cast<double>(in + out)));
}

// x + mlp_tokens(norm1(x)^T)^T, then x + mlp_channels(norm2(x)).
class MixerBlock : public nn::Module {
 public:
  explicit MixerBlock(const ModelConfig& c)
      : norm1_({.features = c.width, .eps = kLayerNormEps}),
        mlp_tokens_(kTokens, c.width / 2, *c.activation, XavierUniform(kTokens, c.width / 2)),
        norm2_({.features = c.width, .eps = kLayerNormEps}),
        mlp_channels_(c.width, 4 * c.width, *c.activation, XavierUniform(c.width, 4 * c.width)) {}

  nn::Variable Forward(const nn::Variable& input) override {
    const nn::Variable x = input + nn::Transpose(mlp_tokens_(nn::Transpose(norm1_(input))));
    return x + mlp_channels_(norm2_(x));
  }
  void Visit(nn::Visitor& v) override {
    v("norm1", norm1_);
    v("mlp_tokens", mlp_tokens_);
    v("norm2", norm2_);
    v("mlp_channels", mlp_channels_);
  }

 private:
  nn::LayerNorm norm1_;
  FeedForward mlp_tokens_;
  nn::LayerNorm norm2_;
  FeedForward mlp_channels_;
};

class Mixer : public nn::Module {
 public:
  explicit Mixer(const ModelConfig& c)
      : stem_(c.width),
        norm_({.features = c.width, .eps = kLayerNormEps}),
        head_({.in = c.width, .out = c.num_classes, .init = XavierUniform(c.width, c.num_classes)}) {
    for (int64_t i = 0; i < c.depth; ++i) blocks_.push_back(std::make_unique<MixerBlock>(c));
  }

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable x = stem_(images);
    for (const auto& block : blocks_) x = (*block)(x);
    x = norm_(x);
    const nn::Variable mean =
        nn::AdaptiveAvgPool2d(nn::Reshape(x, {x.shape()[0], kTokens, 1, x.shape()[2]}), 1, 1);
    return head_(nn::Flatten(mean));
  }

  void Visit(nn::Visitor& v) override {
    v("stem", stem_);
    for (size_t i = 0; i < blocks_.size(); ++i) v(absl::StrCat("blocks.", i), *blocks_[i]);
    v("norm", norm_);
    v("head", head_);
  }

 private:
  PatchEmbed stem_;
  std::vector<std::unique_ptr<MixerBlock>> blocks_;
  nn::LayerNorm norm_;
  nn::Linear head_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_MIXER_H_
