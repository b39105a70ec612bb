// What a sweep would do.
#ifndef HALFTONE_TOOLS_SWEEP_DRY_RUN_H_
#define HALFTONE_TOOLS_SWEEP_DRY_RUN_H_

#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "tools/sweep/grid.h"

namespace halftone::sweep {

// A table of the shard's runs with time, memory and what is done of them, and the sums. Times come from the
// rows that `out` has of the same model, data set and precision, or else from a training step of a few
// examples, measured here with the run's threads; each line says which. Writes nothing but to `to`. Errors:
// as those of RunSweep; a data set that cannot be read. A run that cannot be says so in its line.
absl::Status DryRun(const Grid& grid, const std::string& out, const Shard& shard, std::FILE* to);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_DRY_RUN_H_
