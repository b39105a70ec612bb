// Where a training step's time and memory go: by layer and by op, as tables and as a trace to look at.
#ifndef HALFTONE_TRAIN_PROFILE_H_
#define HALFTONE_TRAIN_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "train/proto/train_config.pb.h"

namespace halftone {

struct ProfileRow {
  std::string name;  // of a layer or an op; of what is in no layer, "(step)"
  // A step's mean.
  double forward_ms = 0, backward_ms = 0, other_ms = 0;
  int64_t calls = 0;         // forward
  double forward_bytes = 0;  // of the results

  double total_ms() const { return forward_ms + backward_ms + other_ms; }
};

struct StepProfile {
  int64_t steps = 0;
  int64_t parameters = 0;
  double step_ms = 0;   // mean of the measured steps, from start to end
  double input_ms = 0;  // of a step, waiting for its batch; not in step_ms
  int64_t peak_bytes = 0;
  std::vector<ProfileRow> by_layer, by_op;  // the largest first
  // JSON for chrome://tracing or Perfetto: the last step's ops, and the allocator's live bytes.
  std::string trace;
};

// Trains as `config` says for `warmup` steps and then for `steps` (each at least 1) that are measured; writes
// nothing. Errors: those of a run.
absl::StatusOr<StepProfile> ProfileTraining(TrainConfig config, int64_t warmup, int64_t steps);

// Two tables; `rows`: of each, at most.
std::string PrintProfile(const StepProfile& profile, int rows);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_PROFILE_H_
