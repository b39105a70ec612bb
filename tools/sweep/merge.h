// Joins what the shards of a sweep have left behind.
#ifndef HALFTONE_TOOLS_SWEEP_MERGE_H_
#define HALFTONE_TOOLS_SWEEP_MERGE_H_

#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/sweep/runner.h"

namespace halftone::sweep {

// Writes into `out` the shards' rows in the order of the grid, and their sweep.textproto. The column `run`
// then leads from `out` to the run's folder. Shards that are still at work may be merged: what they have not
// yet is counted as not done. May be done again. Errors: folders of different sweeps, a run that two of them
// have, an `out` that has runs of its own.
absl::StatusOr<SweepOutcome> MergeShards(const std::vector<std::string>& shards, const std::string& out,
                                         std::FILE* log);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_MERGE_H_
