// From a SweepConfig to its runs: the grid, filtered, each with a whole TrainConfig.
#ifndef HALFTONE_TOOLS_SWEEP_GRID_H_
#define HALFTONE_TOOLS_SWEEP_GRID_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "train/proto/sweep_config.pb.h"
#include "train/proto/train_config.pb.h"

namespace halftone::sweep {

struct Run {
  // As the CSVs have them; precision as the user wrote it.
  std::string model, activation, dataset, precision;
  uint64_t seed = 0;
  // The folder below <out>/runs: "cnn-relu-cifar10-FP4", then "-seed2" where there are several seeds.
  std::string id;
  TrainConfig config;  // resolved, but for run.out, run.threads, run.resume and run.overwrite
};

struct Grid {
  SweepConfig config;                 // with every list filled in
  std::vector<Run> runs;              // models outermost, seeds innermost
  std::vector<std::string> warnings;  // a line each: patterns that match nothing
};

// Errors, one line each: a name that no table has (it lists the valid ones), a name given twice, a value that
// no run can have, an empty grid.
absl::StatusOr<Grid> MakeGrid(SweepConfig config);

// Whether the folders of all data sets are there, before many runs fail one after the other.
absl::Status CheckDataFolders(const Grid& grid);

// What in two sweeps must agree for one to continue the other, or to be merged with it: not where things lie.
SweepConfig Identity(SweepConfig config);

// Part `index` of `count`, from 1: "--shard=3/8".
struct Shard {
  int index = 1;
  int count = 1;

  bool Has(size_t run) const { return static_cast<int>(run % static_cast<size_t>(count)) == index - 1; }
};
absl::StatusOr<Shard> ParseShard(absl::string_view text);

// The threads that the shard's runs have: "1 thread", "1 to 4 threads". `otherwise` (>= 1) where a run's
// config does not say.
std::string ThreadsText(const Grid& grid, const Shard& shard, int otherwise);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_GRID_H_
