// A vision transformer: [B, 32, 32, 3] -> 64 patches -> a class token in front -> blocks -> the class token
// -> classes.
//
// Dosovitskiy et al.: "An Image is Worth 16x16 Words", ICLR 2021, at the size of CIFAR. Names as timm's.
#ifndef HALFTONE_MODELS_VIT_H_
#define HALFTONE_MODELS_VIT_H_

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/model.h"
#include "models/patch_embed.h"
#include "nn/attention.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

// Of all weights of linear layers, and of the class token and the positions.
inline constexpr nn::Init kViTInit = nn::Init::Normal(0.02);

// proj(attention(qkv(x))), [B, N, width] -> [B, N, width].
class SelfAttention : public nn::Module, public nn::Quantizable {
 public:
  explicit SelfAttention(const ModelConfig& c)
      : heads_(c.heads),
        qkv_({.in = c.width, .out = 3 * c.width, .init = kViTInit}),
        proj_({.in = c.width, .out = c.width, .init = kViTInit}) {}

  nn::Variable Forward(const nn::Variable& x) override {
    return proj_(nn::Attention(qkv_(x), {.heads = heads_, .quantizers = &quantizers_}));
  }
  void Visit(nn::Visitor& v) override {
    v("qkv", qkv_);
    v("proj", proj_);
    quantizers_.Visit(v);
  }

 private:
  int64_t heads_;
  nn::Linear qkv_, proj_;
};

// x + attn(norm1(x)), then x + mlp(norm2(x)).
class ViTBlock : public nn::Module {
 public:
  explicit ViTBlock(const ModelConfig& c)
      : norm1_({.features = c.width, .eps = kLayerNormEps}),
        attn_(c),
        norm2_({.features = c.width, .eps = kLayerNormEps}),
        mlp_(c.width, 4 * c.width, *c.activation, kViTInit) {}

  nn::Variable Forward(const nn::Variable& input) override {
    const nn::Variable x = input + attn_(norm1_(input));
    return x + mlp_(norm2_(x));
  }
  void Visit(nn::Visitor& v) override {
    v("norm1", norm1_);
    v("attn", attn_);
    v("norm2", norm2_);
    v("mlp", mlp_);
  }

 private:
  nn::LayerNorm norm1_;
  SelfAttention attn_;
  nn::LayerNorm norm2_;
  FeedForward mlp_;
};

class ViT : public nn::Module {
 public:
  explicit ViT(const ModelConfig& c)
      : cls_token_({1, 1, c.width}, kViTInit),
        pos_embed_({1, 1 + kTokens, c.width}, kViTInit),
        patch_embed_(c.width),
        norm_({.features = c.width, .eps = kLayerNormEps}),
        head_({.in = c.width, .out = c.num_classes, .init = kViTInit}) {
    for (int64_t i = 0; i < c.depth; ++i) blocks_.push_back(std::make_unique<ViTBlock>(c));
  }

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Graph& graph = images.graph();
    nn::Variable x =
        nn::PrependToken(patch_embed_(images), graph.Use(cls_token_, cls_token_.full_precision()),
                         graph.Use(pos_embed_, pos_embed_.full_precision()));
    for (const auto& block : blocks_) x = (*block)(x);
    // The norm is that of each token by itself: only the one that counts needs it.
    return head_(norm_(nn::FirstToken(x)));
  }

  void Visit(nn::Visitor& v) override {
    v("cls_token", cls_token_);
    v("pos_embed", pos_embed_);
    v("patch_embed", patch_embed_);
    for (size_t i = 0; i < blocks_.size(); ++i) v(absl::StrCat("blocks.", i), *blocks_[i]);
    v("norm", norm_);
    v("head", head_);
  }

 private:
  nn::Parameter cls_token_, pos_embed_;
  PatchEmbed patch_embed_;
  std::vector<std::unique_ptr<ViTBlock>> blocks_;
  nn::LayerNorm norm_;
  nn::Linear head_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_VIT_H_
