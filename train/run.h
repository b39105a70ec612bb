// A whole training run: from a config to a folder with metrics, the resolved config and checkpoints.
//
//   <out>/config.textproto   with its defaults filled in; version and hardware as comments
//   <out>/metrics.csv        a row an epoch
//   <out>/tensorboard/       numbers by step, histograms on demand; see event_file.h
//   <out>/checkpoint/        the newest state; see checkpoint.h
#ifndef HALFTONE_TRAIN_RUN_H_
#define HALFTONE_TRAIN_RUN_H_

#include <atomic>
#include <cstdio>
#include <vector>

#include "absl/status/statusor.h"
#include "train/proto/train_config.pb.h"
#include "train/records/metrics.h"

namespace halftone {

struct RunOptions {
  std::FILE* log = stderr;                  // progress and the summary
  const std::atomic<bool>* stop = nullptr;  // becomes true: finish the step, write a checkpoint, return
  // Say so where a step takes longer than in fp32: it costs some steps of each. Not for one who compares
  // whole runs.
  bool compare_with_fp32 = true;
};

struct RunResult {
  EpochMetrics last;     // of the last whole epoch; epoch is 0 if there was none
  int64_t steps = 0;     // done in all, those before a resume included
  double seconds = 0;    // training alone, in all
  bool stopped = false;  // before its end, by `stop` or run.stop_after_steps
};

// Trains as `config` says; it need not be resolved. Nothing is created before the config, the data and the
// model have proved good, and an error leaves the newest whole checkpoint behind.
absl::StatusOr<RunResult> RunTraining(TrainConfig config, const RunOptions& options);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RUN_H_
