// Checkpoints: a folder that holds a whole state of training or does not exist.
//
//   <folder>/model.safetensors           parameters and buffers; PyTorch loads it by name
//   <folder>/training_state.safetensors  what the optimiser remembers; its metadata: a CheckpointState as text
//
// A resumed run equals one that never stopped, bit for bit.
#ifndef HALFTONE_TRAIN_CHECKPOINT_CHECKPOINT_H_
#define HALFTONE_TRAIN_CHECKPOINT_CHECKPOINT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "train/proto/checkpoint.pb.h"
#include "train/trainer.h"

namespace halftone {

// Writes the trainer's state and `state`, whose step, scale and counts are taken from the trainer. The folder
// appears (or replaces the one before) in one move, when all of it is on the disk.
absl::Status SaveCheckpoint(const std::string& folder, Trainer& trainer, CheckpointState state);

// Reads what is in `state` alone: enough to tell whether the checkpoint is of this run.
absl::StatusOr<CheckpointState> ReadCheckpointState(const std::string& folder);

// Puts the trainer into the saved state. Errors name the file and the tensor that is missing, surplus or of
// another shape; the trainer is then of no further use.
absl::Status LoadCheckpoint(const std::string& folder, const CheckpointState& state, Trainer& trainer);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_CHECKPOINT_CHECKPOINT_H_
