// A graph convolutional network on images: the 4 x 4 patches of [N, 32, 32, 3] are the nodes of an 8 x 8
// grid.
//
// Kipf, Welling: "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017. A node's 48
// features are its pixels, and each of three layers multiplies the features by its weights and spreads them
// to the four neighbours; then the mean over the nodes and a linear layer.
#ifndef HALFTONE_MODELS_GCN_H_
#define HALFTONE_MODELS_GCN_H_

#include "models/model.h"
#include "nn/functional.h"
#include "nn/grid_graph.h"
#include "nn/layers.h"

namespace halftone::models {

class Gcn : public nn::Module {
 public:
  explicit Gcn(const ModelConfig& c)
      : gc1_({.in = 3 * kPatch * kPatch, .out = c.width}),
        act1_(*c.activation),
        gc2_({.in = c.width, .out = c.width}),
        act2_(*c.activation),
        gc3_({.in = c.width, .out = c.width}),
        act3_(*c.activation),
        fc_({.in = c.width, .out = c.num_classes}) {}

  nn::Variable Forward(const nn::Variable& images) override {
    nn::Variable nodes = nn::Patches(images, kPatch);  // [N, 8, 8, 48]
    nodes = act1_(gc1_(nodes));
    nodes = act2_(gc2_(nodes));
    nodes = act3_(gc3_(nodes));
    return fc_(nn::Flatten(nn::AdaptiveAvgPool2d(nodes, 1, 1)));
  }

  void Visit(nn::Visitor& v) override {
    v("gc1", gc1_);
    v("act1", act1_);
    v("gc2", gc2_);
    v("act2", act2_);
    v("gc3", gc3_);
    v("act3", act3_);
    v("fc", fc_);
  }

 private:
  static constexpr int kPatch = 4;

  nn::GridGraphConv gc1_;
  nn::ActivationLayer act1_;
  nn::GridGraphConv gc2_;
  nn::ActivationLayer act2_;
  nn::GridGraphConv gc3_;
  nn::ActivationLayer act3_;
  nn::Linear fc_;
};

}  // namespace halftone::models

#endif  // HALFTONE_MODELS_GCN_H_
