// Numbers times a scale: rows of floats onto the values of a float or integer format, and back.
//
//   y = scale * Q(x / scale)                    Q: rounds onto the format's values, saturating
//   y = scale * (Q(x / scale + zp) - zp)        affine integers: zp the zero point
//
// A row is one of scales.size() slices of x of equal length, one after the other, each with a scale of its
// own: one scale is one for the tensor, as many as output channels are one a channel (weights are [out, ...],
// row-major). CHECKed: x.size() is a multiple of scales.size(), and spans of elements are as long as x.
// Scales are finite and at least FLT_MIN (CHECKed); zero points are codes of the format, none or one a row,
// and for affine formats only.
//
// Details, the same on every instruction set and for any number of threads:
// - The quotient is x / scale rounded to float; a product beyond float's range becomes the largest float.
// - Q rounds the quotient, then adds the zero point (PyTorch's and ONNX's order): a tie goes to the even
//   multiple of the scale, whatever the zero point; so do the other modes. Integers give no -0.
// - FakeQuantize leaves NaNs and infinities as they are, so that a loss scale finds overflows. In Quantize an
//   infinity saturates; a NaN becomes what Encode makes of it (fp16/format.h), of integers the zero point's
//   code.
// - Rounding::kStochastic: element i of x uses the i-th of the random bits.
//
// To nearest even, all formats of at most 8 bits and float16 go at the speed of memory.
//
// Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
// Inference", 2018; Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013;
// Esser et al., "Learned Step Size Quantization", 2020.
#ifndef HALFTONE_QUANT_SCALED_H_
#define HALFTONE_QUANT_SCALED_H_

#include <cstdint>

#include "absl/types/span.h"
#include "fp16/codec.h"
#include "fp16/format.h"
#include "quant/integer_format.h"

namespace halftone {

// What x becomes, as floats. y and x do not overlap. Float formats of at most 16 bits.
void FakeQuantize(const FloatFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
                  Rounding rounding, absl::Span<float> y, const RandomBits& random = {});
void FakeQuantize(const IntegerFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
                  absl::Span<const int32_t> zero_points, Rounding rounding, absl::Span<float> y,
                  const RandomBits& random = {});

// The codes, one a byte: of float formats of at most 8 bits; of integers in two's complement.
void Quantize(const FloatFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
              Rounding rounding, absl::Span<uint8_t> codes, const RandomBits& random = {});
void Quantize(const IntegerFormat& format, absl::Span<const float> x, absl::Span<const float> scales,
              absl::Span<const int32_t> zero_points, Rounding rounding, absl::Span<uint8_t> codes,
              const RandomBits& random = {});

// The numbers of codes: what FakeQuantize makes of finite x, unless the product is beyond float's range: then
// an infinity.
void Dequantize(const FloatFormat& format, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<float> y);
void Dequantize(const IntegerFormat& format, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<const int32_t> zero_points, absl::Span<float> y);

// The gradients of FakeQuantize to nearest even. dx, by the straight-through estimator (Bengio et al.): dy
// where x / scale is within the format's range, both ends included, else 0, of a NaN too.
//
// dscales, one a row or empty, by LSQ (Esser et al.): the sum over the row of dy * (Q(x / scale) - x / scale)
// within the range and of dy * (the end of the range) outside; nothing of NaNs. The sums are double, in one
// fixed order. A learned scale wants them times LsqGradientFactor (quant/scales.h). For affine integers take
// Q(..) - zp for Q, and the range less zp for the range.
void FakeQuantizeBackward(const FloatFormat& format, absl::Span<const float> x,
                          absl::Span<const float> scales, absl::Span<const float> dy, absl::Span<float> dx,
                          absl::Span<double> dscales);
void FakeQuantizeBackward(const IntegerFormat& format, absl::Span<const float> x,
                          absl::Span<const float> scales, absl::Span<const int32_t> zero_points,
                          absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dscales);

}  // namespace halftone

#endif  // HALFTONE_QUANT_SCALED_H_
