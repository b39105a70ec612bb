// Fake quantisation on an accelerator: the numbers of quant/scaled.h, quant/block_format.h, quant/codebook.h
// and quant/scales.h, bit for bit, but for NaNs that arithmetic makes. Nothing waits for anything.
#ifndef HALFTONE_NN_QUANTIZER_KERNELS_H_
#define HALFTONE_NN_QUANTIZER_KERNELS_H_

#include <cstdint>
#include <optional>

#include "base/philox.h"
#include "fp16/format.h"
#include "quant/block_format.h"
#include "quant/integer_format.h"
#include "tensor/tensor.h"

namespace halftone::nn {

// One a row, as quant/scaled.h has rows.
struct DeviceScales {
  Tensor scales;       // float32; undefined: one, of 1
  Tensor zero_points;  // int32, of affine integers; undefined: 0
};

// float32, allocated where they are wanted.
struct QuantizerGradients {
  Tensor dx;
  Tensor dscales;  // times scale_factor
  Tensor dvalues;  // times value_factor, and over the mean square of the scales
  double scale_factor = 1, value_factor = 1;
};

// All tensors but the ones said otherwise are float32. random: of stochastic rounding, else to nearest even.
struct QuantizerKernels {
  // ScaleOf of the rows' largest magnitudes; of affine integers, of the rows' ranges.
  void (*current_scales)(const Tensor& x, double largest, Tensor& scales);
  void (*affine_scales)(const IntegerFormat& format, const Tensor& x, DeviceScales& s);
  // ScaleOf of the largest in `history` (the oldest first; that of x where all are 0), before that of x takes
  // the place of the oldest if it is to be remembered.
  void (*delayed_scale)(const Tensor& x, double largest, bool remember, Tensor& history, Tensor& scale);
  // At least FLT_MIN.
  void (*learned_scales)(const Tensor& learned, Tensor& scales);

  // What the kernels below take of ascending `values`: [2, values] in `search`.
  void (*make_search)(const Tensor& values, Tensor& search);

  void (*round_floats)(const FloatFormat& format, const Tensor& x, const DeviceScales& s,
                       const std::optional<Rng>& random, Tensor& y);
  void (*round_integers)(const IntegerFormat& format, const Tensor& x, const DeviceScales& s,
                         const std::optional<Rng>& random, Tensor& y);
  void (*round_blocks)(const BlockFormat& format, BlockScaleRule rule, const Tensor& x, int64_t row_size,
                       const std::optional<Rng>& random, Tensor& y);
  void (*round_to_values)(const Tensor& search, const Tensor& x, const DeviceScales& s, Tensor& y);

  void (*float_gradients)(const FloatFormat& format, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                          QuantizerGradients& gradients);
  void (*integer_gradients)(const IntegerFormat& format, const Tensor& x, const DeviceScales& s,
                            const Tensor& dy, QuantizerGradients& gradients);
  void (*value_gradients)(const Tensor& search, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                          QuantizerGradients& gradients);
};

extern const QuantizerKernels kQuantizerKernels;

}  // namespace halftone::nn

#endif  // HALFTONE_NN_QUANTIZER_KERNELS_H_
