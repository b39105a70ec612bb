#ifndef HALFTONE_TENSOR_OPS_CONV2D_PROBLEM_H_
#define HALFTONE_TENSOR_OPS_CONV2D_PROBLEM_H_

#include <cstdint>
#include <utility>

#include "tensor/dtype.h"
#include "tensor/ops/conv2d/conv2d.h"
#include "tensor/shape.h"

namespace halftone::ops {

// A convolution without its numbers: what chooses an implementation and keys the cache of oneDNN's
// primitives.
struct Conv2dProblem {
  DType dtype = DType::kF32;           // of x, w, y and dy
  int64_t n = 0, h = 0, w = 0, c = 0;  // images
  int64_t o = 0, kh = 0, kw = 0;       // filters, of [c / groups, kh, kw] each
  int64_t out_h = 0, out_w = 0;
  int stride = 1, padding = 0, groups = 1;

  // Stops the program where the shapes do not fit together.
  static Conv2dProblem Of(DType dtype, const Shape& x, const Shape& w, const Conv2dOptions& options);

  Conv2dProblem With(DType other_dtype, int64_t other_n) const {
    Conv2dProblem p = *this;
    p.dtype = other_dtype;
    p.n = other_n;
    return p;
  }

  Shape x_shape() const { return {n, h, w, c}; }
  Shape w_shape() const { return {o, c / groups, kh, kw}; }
  Shape y_shape() const { return {n, out_h, out_w, o}; }
  bool Empty() const { return x_shape().elements() == 0 || y_shape().elements() == 0; }

  friend bool operator==(const Conv2dProblem& a, const Conv2dProblem& b) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Conv2dProblem& p) {
    return H::combine(std::move(state), p.dtype, p.n, p.h, p.w, p.c, p.o, p.kh, p.kw, p.stride, p.padding,
                      p.groups);
  }
};

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_CONV2D_PROBLEM_H_
