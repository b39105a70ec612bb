// What transformers for images begin with, and the two layers that follow attention or mixing.
#ifndef HALFTONE_MODELS_PATCH_EMBED_H_
#define HALFTONE_MODELS_PATCH_EMBED_H_

#include <cmath>

#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

inline constexpr int kPatch = 4;        // pixels on a side
inline constexpr int64_t kTokens = 64;  // patches of a 32 x 32 image
inline constexpr double kLayerNormEps = 1e-6;

// [B, 32, 32, 3] -> [B, 64, width]: each 4 x 4 patch, in row-major order, by one linear map, which is a
// convolution.
class PatchEmbed : public nn::Module {
 public:
  explicit PatchEmbed(int64_t width)
      : proj_({.in = 3,
               .out = width,
               .kernel = kPatch,
               .stride = kPatch,
               .init = nn::Init::Uniform(1 / std::sqrt(3.0 * kPatch * kPatch))}) {}

  nn::Variable Forward(const nn::Variable& images) override {
    const nn::Variable y = proj_(images);
    return nn::Reshape(y, {y.shape()[0], kTokens, y.shape()[3]});
  }
  void Visit(nn::Visitor& v) override { v("proj", proj_); }

 private:
  nn::Conv2d proj_;
};

// fc2(act(fc1(x))), [..., in] -> [..., in] with `hidden` numbers between.
class FeedForward : public nn::Module {
 public:
  FeedForward(int64_t in, int64_t hidden, const ops::Activation& activation, const nn::Init& init)
      : fc1_({.in = in, .out = hidden, .init = init}),
        act_(activation),
        fc2_({.in = hidden, .out = in, .init = init}) {}

  nn::Variable Forward(const nn::Variable& x) override { return fc2_(act_(fc1_(x))); }
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

#endif  // HALFTONE_MODELS_PATCH_EMBED_H_
