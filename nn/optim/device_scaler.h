// What scaler/grad_scaler.h does, on the parameters' device: the loss scale, the check for gradients that are
// not finite and the clipping factor stay there, so that a training step waits for nothing. The numbers are
// GradScaler's, bit for bit, on every device.
//
//   DeviceScaler scaler(device, loss_scale);
//   ...
//   graph.Backward(loss, scaler.scale());
//   RETURN_IF_ERROR(scaler.Unscale(parameters, {.max_norm = 1}));
//   nn::Step(*optimizer, parameters, schedule->At(step), scaler.known());   // if the gradients are finite
//   scaler.Update();
//   const Tensor then = scaler.Snapshot();
//   ...
//   const ScalerReport report = DeviceScaler::Read(then);                   // waits: now and then
//
// A fallback to another precision, which the host has to know of at once, is not for it: the floor policy is
// not kFallback.
#ifndef HALFTONE_NN_OPTIM_DEVICE_SCALER_H_
#define HALFTONE_NN_OPTIM_DEVICE_SCALER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/scaler_report.h"
#include "nn/parameter.h"
#include "scaler/loss_scale.h"
#include "tensor/tensor.h"

namespace halftone::nn {

struct UnscaleOptions {
  int64_t micro_batches = 1;  // whose gradients were added up: their mean is taken
  double max_norm = 0;        // the clipping factor limits the common norm to it; 0 or less: no clipping
  float max_value = 0;        // limits each gradient to it, once the norm is taken; 0 or less: no clipping
  Tensor zeros = {};          // int64 [parameters] for how many of each one's are zero; undefined: not asked
};

class DeviceScaler {
 public:
  // From the state of `loss_scale` on.
  DeviceScaler(Device& device, const LossScale& loss_scale);

  // What to multiply the loss (or the seed of its backward pass) with: a float32 scalar. The same tensor all
  // the time: Update changes it.
  const Tensor& scale() const { return scale_; }

  // Divides the float32 gradients by the scale and the number of micro-batches, in place; checks, measures
  // and clips them. Once before each Update. A parameter without gradient gets one of zeros; that none has
  // one is an error.
  absl::Status Unscale(absl::Span<Parameter* const> parameters, const UnscaleOptions& options);

  // The clipping factor, and whether a gradient was not finite, of the last Unscale: for nn::Step.
  const DeviceStep& known() const { return known_; }

  // Sets the next step's scale.
  void Update();
  // In its place, where a step ends early.
  void Abandon();

  // A copy of what State reads, for reading later. Waits for nothing.
  Tensor Snapshot() const { return report_.Clone(); }
  // These wait for the device.
  static ScalerReport Read(const Tensor& snapshot);
  ScalerReport State() const { return Read(report_); }

  // As LossScale's.
  absl::Status Restore(const LossScaleState& state);

 private:
  void Start(const LossScaleState& state);

  Device& device_;
  LossScaleOptions options_;
  Tensor scale_;   // float32
  Tensor report_;  // a ScalerReport
  DeviceStep known_;
  bool unscaled_ = false;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_OPTIM_DEVICE_SCALER_H_
