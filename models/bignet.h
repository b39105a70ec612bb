// Six residual blocks of three linear layers, with layer norms in between: [N, width] -> [N, width].
//
// Almost nothing but weights, 18.9 million of them at the published width of 1024: what memory and matrix
// products cost in each precision shows as it is.
#ifndef HALFTONE_MODELS_BIGNET_H_
#define HALFTONE_MODELS_BIGNET_H_

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/model.h"
#include "nn/functional.h"
#include "nn/layers.h"

namespace halftone::models {

// x + linear(act(linear(act(linear(x))))), with nn::Linear or nn::HalfLinear.
template <typename Linear>
class BigBlock : public nn::Module {
 public:
  explicit BigBlock(const ModelConfig& c)
      : linear0_({.in = c.width, .out = c.width}),
        act1_(*c.activation),
        linear2_({.in = c.width, .out = c.width}),
        act3_(*c.activation),
        linear4_({.in = c.width, .out = c.width}) {}

  nn::Variable Forward(const nn::Variable& x) override {
    const nn::Variable h = act3_(Apply(linear2_, act1_(Apply(linear0_, x, DType::kF16)), DType::kF16));
    return x + Apply(linear4_, h, x.dtype());
  }

  void Visit(nn::Visitor& v) override {
    v("model.0", linear0_);
    v("model.1", act1_);
    v("model.2", linear2_);
    v("model.3", act3_);
    v("model.4", linear4_);
  }

 private:
  // A half linear layer's result in a dtype: float16 within the block, as its numbers are and the next one
  // takes them, is half the memory to pass.
  static nn::Variable Apply(nn::HalfLinear& layer, const nn::Variable& x, DType dtype) {
    return layer.To(dtype, x);
  }
  static nn::Variable Apply(nn::Linear& layer, const nn::Variable& x, DType) { return layer(x); }

  Linear linear0_;
  nn::ActivationLayer act1_;
  Linear linear2_;
  nn::ActivationLayer act3_;
  Linear linear4_;
};

template <typename Linear>
class BigNetOf : public nn::Module {
 public:
  explicit BigNetOf(const ModelConfig& c) {
    for (int i = 0; i < kBlocks; ++i) {
      if (i > 0) {
        layers_.push_back(std::make_unique<nn::LayerNorm>(nn::LayerNormOptions{.features = c.width}));
      }
      layers_.push_back(std::make_unique<BigBlock<Linear>>(c));
    }
  }

  // Rows of numbers, or images, whose numbers are taken as they lie.
  nn::Variable Forward(const nn::Variable& input) override {
    nn::Variable x = nn::Flatten(input);
    for (const auto& layer : layers_) x = (*layer)(x);
    return x;
  }

  void Visit(nn::Visitor& v) override {
    for (size_t i = 0; i < layers_.size(); ++i) v(absl::StrCat("model.", i), *layers_[i]);
  }

 private:
  static constexpr int kBlocks = 6;

  std::vector<std::unique_ptr<nn::Module>> layers_;  // blocks, and the norms between them
};

using BigNet = BigNetOf<nn::Linear>;
// The same names, with weights of half the size, for inference; layer norms, sums and activations are
// float32.
using HalfBigNet = BigNetOf<nn::HalfLinear>;

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_BIGNET_H_
