// What a run reports after each epoch, and metrics.csv.
#ifndef HALFTONE_TRAIN_RECORDS_METRICS_H_
#define HALFTONE_TRAIN_RECORDS_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace halftone {

struct EpochMetrics {
  int64_t epoch = 0;          // from 1
  int64_t step = 0;           // training steps done since the start
  double train_loss = 0;      // mean over the epoch's steps, with the weights of each step
  double train_accuracy = 0;  // 0 to 1, likewise
  double test_loss = 0;       // after the epoch
  double test_accuracy = 0;   // 0 to 1
  double learning_rate = 0;   // of the epoch's last step
  double loss_scale = 1;      // after the epoch
  int64_t skipped_steps = 0;  // in this epoch, for gradients that were not finite
  double seconds = 0;         // training alone, without evaluation
  double images_per_second = 0;
  int64_t peak_bytes = 0;  // tensors and workspaces, the largest sum so far
};

// metrics.csv as a whole file that is always complete: every Append rewrites it under a temporary name and
// renames.
class MetricsCsv {
 public:
  explicit MetricsCsv(std::string path) : path_(std::move(path)) {}

  // Takes over the rows of an existing file up to `epochs`; for resuming. A row missing or broken is an
  // error.
  absl::Status KeepEpochs(int64_t epochs);
  absl::Status Append(const EpochMetrics& metrics);

 private:
  std::string path_;
  std::vector<std::string> rows_;
};

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RECORDS_METRICS_H_
