// The states of the loss scale and of a run's statistics, to and from the messages that checkpoints keep.
#ifndef HALFTONE_TRAIN_CHECKPOINT_NUMERICS_STATE_H_
#define HALFTONE_TRAIN_CHECKPOINT_NUMERICS_STATE_H_

#include "absl/status/statusor.h"
#include "scaler/loss_scale.h"
#include "scaler/step_statistics.h"
#include "train/proto/numerics_state.pb.h"

namespace halftone {

LossScaleProto ToProto(const LossScaleState& state);
LossScaleState FromProto(const LossScaleProto& proto);

StepStatisticsProto ToProto(const StepStatisticsState& state);
// DataLoss: a reason or a list that is none. Whether the rest fits is for StepStatistics::Restore to say.
absl::StatusOr<StepStatisticsState> FromProto(const StepStatisticsProto& proto);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_CHECKPOINT_NUMERICS_STATE_H_
