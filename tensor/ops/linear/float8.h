// Linear maps of 8-bit floats, by accelerators that multiply such numbers themselves.
//
// A quantiser makes float32 tensors whose numbers are values of a format times a scale (quant/scaled.h).
// Where the accelerator has products of such values, it is given them as codes, 8 bits each, and multiplies
// the sums by the scales; elsewhere the float32 numbers are multiplied. The results differ as sums in another
// order do: both kinds of products are exact, and sums are float32, or what the accelerator takes for it.
//
// Formats: OFP8's E4M3 and E5M2 (Open Compute Project, OCP 8-bit Floating Point Specification, revision 1.0,
// 2023), not both E5M2.
#ifndef HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_H_
#define HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_H_

#include "absl/types/optional.h"
#include "fp16/format.h"
#include "quant/formats.h"
#include "tensor/ops/linear/weight_gradients.h"
#include "tensor/tensor.h"

namespace halftone::ops {

// What the numbers of a float32 tensor are: values of the format times the scale; or infinities and NaNs.
struct Float8 {
  FloatFormat format;  // kFloat8E4m3fn or kFloat8E5m2
  Tensor scale;        // one float32
};

inline bool IsFloat8(const FloatFormat& format) {
  return format.name == kFloat8E4m3fn.name || format.name == kFloat8E5m2.name;
}

struct Factor {
  Tensor values;
  absl::optional<Float8> float8;  // none: whatever numbers
};

// As the functions of linear.h, of the values.
Tensor LinearForward(const Factor& x, const Factor& w, const Tensor& bias, DType y);
Tensor LinearBackwardData(const Factor& dy, const Factor& w);
WeightGradients LinearBackwardWeights(const Factor& x, const Factor& dy, bool want_bias);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LINEAR_FLOAT8_H_
