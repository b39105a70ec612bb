// For reference implementations: tensors of any float dtype as arrays of double.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_DOUBLES_H_
#define HALFTONE_TENSOR_OPS_LINEAR_DOUBLES_H_

#include <algorithm>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace halftone::ops {

inline std::vector<double> Doubles(const Tensor& t) {
  return VisitFloat(t.dtype(), [&](auto type) {
    const auto elements = t.span<decltype(type)>();
    return std::vector<double>(elements.begin(), elements.end());
  });
}

// Each to the nearest number of the dtype, ties to even.
inline void RoundTo(DType dtype, std::vector<double>& values) {
  VisitFloat(dtype, [&](auto type) {
    for (double& v : values) v = static_cast<double>(static_cast<decltype(type)>(v));
  });
}

// Rounds once, to nearest even, into the tensor's dtype.
inline void RoundInto(const std::vector<double>& from, Tensor* to) {
  VisitFloat(to->dtype(), [&](auto type) {
    using T = decltype(type);
    std::transform(from.begin(), from.end(), to->data<T>(), [](double v) { return static_cast<T>(v); });
  });
}

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_DOUBLES_H_
