// How a loss over many elements becomes its result.
#ifndef HALFTONE_TENSOR_OPS_REDUCTION_H_
#define HALFTONE_TENSOR_OPS_REDUCTION_H_

namespace halftone::ops {

enum class Reduction {
  kMean,  // one number
  kSum,   // one number
  kNone,  // a loss each; its backward is that of the sum
};

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_REDUCTION_H_
