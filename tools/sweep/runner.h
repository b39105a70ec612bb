// Runs what is not yet in the CSVs of a sweep's folder.
//
//   <out>/sweep.textproto      the sweep, with every list filled in
//   <out>/final_results.csv    see results.h
//   <out>/run_details.csv
//   <out>/runs/<id>/           of each run what //tools:train leaves behind, its log, and what it says of itself
//   <out>/.lock                see lock.h
//
// Every epoch is on the disk three times in this order: in the run's metrics.csv, in run_details.csv, in
// final_results.csv. The rows of the last two are taken from the first, which the run replaces as a whole; so
// whoever is killed at whatever moment, no row is lost, doubled or cut for good.
#ifndef HALFTONE_TOOLS_SWEEP_RUNNER_H_
#define HALFTONE_TOOLS_SWEEP_RUNNER_H_

#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/sweep/grid.h"

namespace halftone::sweep {

struct SweepOptions {
  std::string out;  // folder, as open() takes it
  int jobs = 1;     // runs at a time; the cores are shared out among them
  Shard shard;
  bool retry_failed = false;  // runs that failed before are run again
  std::FILE* log = stderr;
};

struct SweepOutcome {
  int runs = 0;  // of the shard
  int done = 0;  // with all their epochs
  int failed = 0;
  bool interrupted = false;
};

// Errors: another sweep's folder, or one in use; files that were changed by hand; a full disk. What was
// measured until then is on the disk.
absl::StatusOr<SweepOutcome> RunSweep(const Grid& grid, const SweepOptions& options);

// An error if the folder holds another sweep; true if it holds this one.
absl::StatusOr<bool> HoldsThisSweep(const std::string& folder, const Grid& grid);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_RUNNER_H_
