// Sums and multiples of tensors of any float dtype: float arithmetic (double for f64), one rounding at the
// store.
#ifndef HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_H_
#define HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_H_

#include "tensor/tensor.h"

namespace halftone::ops {

// a + b, of one dtype and shape.
Tensor Add(const Tensor& a, const Tensor& b);
// a += b, of one dtype and shape.
void AddInPlace(Tensor& a, const Tensor& b);
// factor * a. The factor is rounded to float (unless a is f64) and may overflow or underflow there.
Tensor Scale(const Tensor& a, double factor);

// Whether no element is an infinity or a NaN. Any float dtype.
bool AllFinite(const Tensor& t);
// The only element of a tensor of any float dtype.
double Item(const Tensor& t);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_H_
