#include "tools/sweep/merge.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/results/files.h"
#include "tools/sweep/results.h"
#include "train/config.h"

namespace halftone::sweep {
namespace {

// The path that leads from `out` to <shard>/<run>.
std::string RunFrom(const std::string& out, const std::string& shard, const std::string& run) {
  const std::filesystem::path path = std::filesystem::path(shard) / run;
  std::error_code error;
  const std::filesystem::path relative = std::filesystem::proximate(path, out, error);
  return (error ? path : relative).string();
}

}  // namespace

absl::StatusOr<SweepOutcome> MergeShards(const std::vector<std::string>& shards, const std::string& out,
                                         std::FILE* log) {
  if (shards.empty()) {
    return absl::InvalidArgumentError(
        "--merge: no folders; expected those of the shards, after --out=FOLDER");
  }
  std::error_code ignored;
  if (std::filesystem::exists(out + "/runs", ignored)) {
    return absl::FailedPreconditionError(absl::StrCat(out, " has runs of its own; choose another --out"));
  }
  SweepConfig config;
  RETURN_IF_ERROR(MergeTextFile(absl::StrCat(shards[0], "/", kSweepConfigFile), config));
  ASSIGN_OR_RETURN(const Grid grid, MakeGrid(config));

  std::vector<Row> rows;
  std::map<size_t, std::string> owners;
  for (const std::string& shard : shards) {
    ASSIGN_OR_RETURN(const bool known, HoldsThisSweep(shard, grid));
    if (!known)
      return absl::NotFoundError(absl::StrCat(shard, " holds no sweep: it has no ", kSweepConfigFile));
    ASSIGN_OR_RETURN(Results results, ReadResults(shard, grid.runs));
    for (const std::string& note : results.notes) absl::FPrintF(log, "warning: %s\n", note);
    for (Row& row : results.rows) {
      const auto [owner, is_new] = owners.emplace(row.run, shard);
      if (!is_new && owner->second != shard) {
        return absl::AlreadyExistsError(
            absl::StrCat(grid.runs[row.run].id, " is in ", owner->second, " and in ", shard));
      }
      row.details.back() = RunFrom(out, shard, row.details.back());
      rows.push_back(std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.run < b.run; });
  RETURN_IF_ERROR(MakeDirectories(out));
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(out, "/", kSweepConfigFile), PrintConfig(grid.config)));
  RETURN_IF_ERROR(WriteResults(out, rows));

  SweepOutcome outcome = {.runs = static_cast<int>(grid.runs.size())};
  for (const Row& row : rows) {
    outcome.failed += row.failed();
    outcome.done += !row.failed() && row.epoch == grid.runs[row.run].config.run().epochs();
  }
  return outcome;
}

}  // namespace halftone::sweep
