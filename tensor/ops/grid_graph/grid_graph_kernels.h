// grid_graph.h on an accelerator.
#ifndef HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_KERNELS_H_
#define HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_KERNELS_H_

#include "tensor/tensor.h"

namespace halftone::ops {

struct GridGraphKernels {
  // bias: null for zeros. With the bits of the CPU.
  void (*spread)(const Tensor& x, const Tensor* bias, Tensor& y);
  // dbias[f] = the sum of dy over all nodes of all grids.
  void (*sum)(const Tensor& dy, Tensor& dbias);
};

extern const GridGraphKernels kGridGraphKernels;

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_KERNELS_H_
