// Spreading of features over the graph of a grid, whose nodes are joined to their (up to) four neighbours and
// to themselves:
//
//   y[n, i] = bias + sum over i's neighbours j and i itself of x[n, j] / sqrt(degree(i) * degree(j))
//
// for nodes i of x [N, rows, columns, features]. The degree counts the node itself: 3 in corners, 4 on edges,
// 5 inside, of a grid that has more than one row and column.
//
// Kipf, Welling: "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, equation 2.
//
// x, y and their gradients are of any one float dtype, with float arithmetic (double for f64) and one
// rounding; bias and its gradient [features] are f32, or f64 where x is. The same bits for any number of
// threads.
#ifndef HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_H_
#define HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_H_

#include "tensor/tensor.h"

namespace halftone::ops {

Tensor GridGraphForward(const Tensor& x, const Tensor& bias);

struct GridGraphGradients {
  Tensor dx, dbias;
};

GridGraphGradients GridGraphBackward(const Tensor& dy);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_GRID_GRAPH_GRID_GRAPH_H_
