// Layers on the nodes of a grid, [N, rows, columns, features].
#ifndef HALFTONE_NN_GRID_GRAPH_H_
#define HALFTONE_NN_GRID_GRAPH_H_

#include "nn/layers.h"
#include "nn/module.h"

namespace halftone::nn {

// Images [N, H, W, C] -> nodes [N, H / size, W / size, C * size^2]: a node's features are the pixels of its
// square patch in the order (channel, row, column). The size divides H and W.
Variable Patches(const Variable& images, int size);

struct GridGraphConvOptions {
  int64_t in = 0;  // features
  int64_t out = 0;
};

// Kipf and Welling 2017, on the grid whose nodes are joined to their four neighbours and to themselves:
// y = D^-1/2 A D^-1/2 (x W^T) + b, with A the adjacency and D the nodes' degrees in it. weight [out, in] and
// bias [out], started as those of Linear.
class GridGraphConv : public Module, public Quantizable {
 public:
  explicit GridGraphConv(const GridGraphConvOptions& options);
  Variable Forward(const Variable& x) override;
  void Visit(Visitor& v) override;
  std::optional<Shape> weight_shape() const override { return linear_.weight_shape(); }
  LayerQuantizers& quantizers() override { return linear_.quantizers(); }

 private:
  Linear linear_;  // without the bias, which is added last
  Parameter bias_;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_GRID_GRAPH_H_
