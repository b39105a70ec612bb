// What DeviceScaler has on its device, and what the host reads of it.
#ifndef HALFTONE_NN_OPTIM_SCALER_REPORT_H_
#define HALFTONE_NN_OPTIM_SCALER_REPORT_H_

#include <type_traits>

#include "scaler/loss_scale.h"
#include "scaler/unscale.h"

namespace halftone::nn {

struct ScalerReport {
  LossScaleState loss_scale;  // after the last Update
  ScaleUpdate update;         // the last one
  GradStats grads;            // of the last Unscale
  float clip_factor = 1;      // likewise
};

static_assert(std::is_trivially_copyable_v<ScalerReport>);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_OPTIM_SCALER_REPORT_H_
