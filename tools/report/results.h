// What a sweep left behind, read from its folder: final_results.csv, an epoch a row, and run_details.csv,
// which says more of the same rows and of runs that failed.
#ifndef HALFTONE_TOOLS_REPORT_RESULTS_H_
#define HALFTONE_TOOLS_REPORT_RESULTS_H_

#include <cmath>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone::report {

// A point of the grid; runs of several seeds share it.
struct GridPoint {
  std::string model, activation, dataset, precision;

  auto operator<=>(const GridPoint&) const = default;
};

// NaN: not known, or not a number in the file either.
struct Epoch {
  int epoch = 0;                                                              // from 1
  double train_acc = NAN, train_loss = NAN, test_acc = NAN, test_loss = NAN;  // accuracies: 0 to 1
  double time = NAN;                                                          // seconds
  double memory = NAN, estimated_memory = NAN;                                // MiB
  double loss_scale = NAN;
  double overflow_rate = NAN;  // of the steps, 0 to 1
};

// As the file's last row of the run has it; "" where it says nothing.
struct RunDetails {
  std::string status, reason, emulated, threads, hardware, version, run;
  double weight_bits = NAN, activation_bits = NAN;
};

struct SweepRun {
  GridPoint point;
  std::string seed;           // "#1", "#2", ... where no file tells
  std::vector<Epoch> epochs;  // ascending; none where it failed before its first epoch's end
  RunDetails details;
  std::string config;  // <details.run>/config.textproto, from the sweep's folder

  // Whether the details tell of anything but success.
  bool unfinished() const;
  // Bits of a weight: the details', else those in the precision's name; NaN where neither tells.
  double weight_bits() const;
  double best_test_acc() const;  // of all epochs; NaN without any
  int best_epoch() const;        // the first with that accuracy; 0 without any
  double median_time() const;
  double peak_memory() const;
  double estimated_memory() const;  // the largest
};

struct SweepResults {
  std::vector<SweepRun> runs;                              // in the files' order
  std::vector<std::string> models, activations, datasets;  // in the files' order
  std::vector<std::string> precisions;                     // float32 first, then from many bits to few
  bool detailed = false;                                   // there are details
  std::string config;                                      // sweep.textproto; "" without one
  std::vector<std::string> warnings;                       // a line each
};

bool IsFloat32(absl::string_view precision);  // "fp32", "FP32", "float32"
// "amp_bf16": 16, "mxfp4": 4, "e4m3": NaN.
double BitsInName(absl::string_view precision);

// Rows that are damaged are left out with a warning. Errors: no folder, no final_results.csv, other columns,
// no row.
absl::StatusOr<SweepResults> ReadSweepResults(const std::string& folder);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_RESULTS_H_
