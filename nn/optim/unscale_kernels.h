// DeviceScaler on an accelerator.
#ifndef HALFTONE_NN_OPTIM_UNSCALE_KERNELS_H_
#define HALFTONE_NN_OPTIM_UNSCALE_KERNELS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "nn/optim/scaler_report.h"
#include "scaler/loss_scale.h"
#include "tensor/device.h"

namespace halftone::nn {

// All pointers but `gradients` itself are of the accelerator's memory.
struct DeviceGradients {
  struct Array {
    float* data;
    int64_t elements;
  };
  absl::Span<const Array> gradients;
  const float* scale;
  double micro_batches;
  double max_norm;
  float max_value;
  int64_t* zeros;        // one an array; null: not asked
  ScalerReport* report;  // grads and clip_factor are written
  float* clip_factor;
  int32_t* found_inf;
};

struct UnscaleKernels {
  void (*unscale)(Device& device, const DeviceGradients& gradients);
  // LossScale::Update with what `report` says of the gradients.
  void (*update)(Device& device, const LossScaleOptions& options, ScalerReport* report, float* scale);
};

extern const UnscaleKernels kUnscaleKernels;

}  // namespace halftone::nn

#endif  // HALFTONE_NN_OPTIM_UNSCALE_KERNELS_H_
