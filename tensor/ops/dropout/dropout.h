// Dropout: each element is dropped (made 0) with probability p, else multiplied by 1 / (1 - p).
//
// Srivastava et al.: "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014.
//
// Element i is dropped if rng.Uniform(i) < p: nothing is stored between forward and backward, and the mask
// depends neither on the number of threads nor on the dtype or the device.
#ifndef HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_H_
#define HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_H_

#include "base/philox.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// p in [0, 1]; 0 gives x itself (the same elements), 1 gives zeros.
Tensor DropoutForward(const Tensor& x, double p, const Rng& rng);
// With the p and rng of forward.
Tensor DropoutBackward(const Tensor& dy, double p, const Rng& rng);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_DROPOUT_DROPOUT_H_
