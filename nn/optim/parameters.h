// From a network's parameters to the spans that GradScaler and Optimizer work on, and back:
//
//   const std::vector<Parameter*> parameters = Parameters(network);
//   ...
//   graph.Backward(loss, /*seed=*/scaler.scale());
//   ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, GradientsOf(parameters));
//   RETURN_IF_ERROR(scaler.Unscale(kOptimizer, gradients).status());
//   ASSIGN_OR_RETURN(const bool finite, scaler.ShouldStep(kOptimizer));
//   if (finite) Step(*optimizer, parameters, schedule->At(step));
//   ASSIGN_OR_RETURN(const ScaleUpdate update, scaler.Update());
//   ClearGradients(parameters);
#ifndef HALFTONE_NN_OPTIM_PARAMETERS_H_
#define HALFTONE_NN_OPTIM_PARAMETERS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "nn/optim/optimizer.h"
#include "nn/parameter.h"

namespace halftone::nn {

// Gradients of zeros for those parameters on which the loss did not depend. That none has a gradient is an
// error.
absl::Status FillGradients(absl::Span<Parameter* const> parameters);

// The float32 gradients, an array a parameter; as FillGradients.
absl::StatusOr<std::vector<absl::Span<float>>> GradientsOf(absl::Span<Parameter* const> parameters);

// What an optimiser takes: masters with the working copies that they have, or 16-bit weights alone. The
// gradients of those that have one.
std::vector<ParamRef> ParamRefs(absl::Span<Parameter* const> parameters);

// One step of the optimiser, on the parameters' device: Optimizer::StepOn. All have gradients (GradientsOf,
// or DeviceScaler::Unscale, sees to that). Working copies that exist are written in its pass; others are cast
// at their next use.
void Step(Optimizer& optimizer, absl::Span<Parameter* const> parameters, const StepOptions& options,
          const DeviceStep& known = {});

void ClearGradients(absl::Span<Parameter* const> parameters);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_OPTIM_PARAMETERS_H_
