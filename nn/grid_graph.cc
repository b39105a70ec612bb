#include "nn/grid_graph.h"

#include <cmath>
#include <utility>

#include "tensor/ops/grid_graph/grid_graph.h"
#include "tensor/ops/patches/patches.h"

namespace halftone::nn {

Variable Patches(const Variable& images, int size) {
  return images.graph().Record("patches", ops::PatchesForward(images.value(), size), {images},
                               [size, channels = images.shape()[3]](BackwardContext& c) {
                                 if (c.Needs(0)) c.Give(0, ops::PatchesBackward(c.dy(), size, channels));
                               });
}

GridGraphConv::GridGraphConv(const GridGraphConvOptions& o)
    : linear_({.in = o.in, .out = o.out, .bias = false}),
      bias_({o.out}, Init::Uniform(1 / std::sqrt(static_cast<double>(o.in)))) {}

// The weights are this module's own: the linear layer is a means, and has no name.
void GridGraphConv::Visit(Visitor& v) {
  linear_.Visit(v);
  v("bias", bias_);
}

Variable GridGraphConv::Forward(const Variable& x) {
  Graph& graph = x.graph();
  const Variable h = linear_.Forward(x);
  const Variable bias = graph.Use(bias_, bias_.full_precision());
  return graph.Record("grid_graph", ops::GridGraphForward(h.value(), bias.value()), {h, bias},
                      [](BackwardContext& c) {
                        ops::GridGraphGradients d = ops::GridGraphBackward(c.dy());
                        c.Give(0, std::move(d.dx));
                        c.Give(1, std::move(d.dbias));
                      });
}

}  // namespace halftone::nn
