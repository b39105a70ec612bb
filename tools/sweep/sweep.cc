// Trains models x activations x data sets x precisions x seeds, and puts every epoch of every run into one
// CSV. docs/sweep.md explains it.
//
//   sweep --config=configs/sweep_quick.textproto
//   sweep --config=... --dry_run
//   sweep --config=... --shard=3/8            # into <out>/shard-3-of-8; then, when all are through:
//   sweep --merge --out=FOLDER FOLDER/shard-*
//
// Given again, it goes on where it was interrupted.
//
// Exit code: 0 every run is done, 1 an error (one line on stderr), 3 some runs failed or are missing, 130
// stopped by a signal, to be gone on with.

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "tools/report/write_report.h"
#include "tools/results/files.h"
#include "tools/sweep/dry_run.h"
#include "tools/sweep/grid.h"
#include "tools/sweep/merge.h"
#include "tools/sweep/process.h"
#include "tools/sweep/results.h"
#include "tools/sweep/run_one.h"
#include "tools/sweep/runner.h"
#include "train/config.h"

ABSL_FLAG(std::string, config, "configs/sweep_quick.textproto", "a SweepConfig in Protobuf's text format");
ABSL_FLAG(std::string, set, "",
          "config text that is merged over the file's, for example --set='epochs: 2'; may be given again and "
          "again");
ABSL_FLAG(std::string, out, "", "folder for all that the sweep leaves behind, instead of the config's");
ABSL_FLAG(int, jobs, 0,
          "so many runs at a time, among which the cores are shared out; 0: as the config says");
ABSL_FLAG(std::string, shard, "", "i/n: every n-th run from the i-th on, into <out>/shard-i-of-n");
ABSL_FLAG(bool, merge, false, "join the folders given as arguments, the shards', into --out");
ABSL_FLAG(bool, dry_run, false, "list the runs with their estimated time and memory, and run none");
ABSL_FLAG(bool, retry_failed, false, "run those that failed before once more");
// For the sweep's own use.
ABSL_FLAG(std::string, run_one, "", halftone::kInternalFlag);
ABSL_FLAG(int, parent, 0, halftone::kInternalFlag);

namespace halftone::sweep {
namespace {

constexpr char kProgram[] = "sweep";
constexpr int kAllDone = 0, kNoReport = 1, kSomeFailed = 3, kInterrupted = 130;
constexpr int kMaxJobs = 1024;

// The sweep's end is its results and their report; where there is none, one line says why. False: it could
// not be written.
bool Report(const std::string& out) {
  absl::FPrintF(stderr, "%s/%s\n", out, kResultsFile);
  const absl::StatusOr<report::WrittenReport> written = report::WriteReport(ResolveUserPath(out));
  if (!written.ok()) {
    absl::FPrintF(stderr, "no report: %s\n", std::string(written.status().message()));
    return false;
  }
  for (const std::string& warning : written->warnings) absl::FPrintF(stderr, "report: %s\n", warning);
  absl::FPrintF(stderr, "%s\n", written->html);
  return true;
}

int Conclude(const SweepOutcome& outcome, const std::string& out) {
  const int missing = outcome.runs - outcome.done - outcome.failed;
  absl::FPrintF(stderr, "%d of %d runs done", outcome.done, outcome.runs);
  if (outcome.failed > 0)
    absl::FPrintF(stderr, ", %d failed (%s/%s says why)", outcome.failed, out, kDetailsFile);
  if (missing > 0) absl::FPrintF(stderr, ", %d missing", missing);
  absl::FPrintF(stderr, "\n");
  if (outcome.interrupted && missing > 0) {
    absl::FPrintF(stderr, "stopped; the same command goes on\n");
    return kInterrupted;
  }
  const bool reported = Report(out);
  if (outcome.done < outcome.runs) return kSomeFailed;
  return reported ? kAllDone : kNoReport;
}

absl::StatusOr<SweepConfig> LoadConfig(const std::vector<std::string>& sets) {
  SweepConfig config;
  RETURN_IF_ERROR(MergeTextFile(absl::GetFlag(FLAGS_config), config));
  for (const std::string& set : sets)
    RETURN_IF_ERROR(MergeText(set, absl::StrCat("--set='", set, "'"), config));
  if (!absl::GetFlag(FLAGS_out).empty()) config.set_out(absl::GetFlag(FLAGS_out));
  return config;
}

absl::StatusOr<int> Merge(const std::vector<char*>& arguments) {
  const std::string out = absl::GetFlag(FLAGS_out);
  if (out.empty())
    return absl::InvalidArgumentError("--merge: no --out; expected a folder for the joined CSVs");
  std::vector<std::string> shards;
  for (size_t i = 1; i < arguments.size(); ++i) shards.push_back(ResolveUserPath(arguments[i]));
  ASSIGN_OR_RETURN(const SweepOutcome outcome, MergeShards(shards, ResolveUserPath(out), stderr));
  return Conclude(outcome, out);
}

absl::StatusOr<int> Main(const std::vector<char*>& arguments, const std::vector<std::string>& sets) {
  if (absl::GetFlag(FLAGS_merge)) return Merge(arguments);
  if (arguments.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument \"", arguments[1], "\"; expected --config=FILE and --set='TEXT'"));
  }
  Shard shard;
  const std::string shard_text = absl::GetFlag(FLAGS_shard);
  if (!shard_text.empty()) {
    ASSIGN_OR_RETURN(shard, ParseShard(shard_text));
  }
  ASSIGN_OR_RETURN(SweepConfig config, LoadConfig(sets));
  if (absl::GetFlag(FLAGS_jobs) != 0) config.set_jobs(absl::GetFlag(FLAGS_jobs));
  if (config.jobs() < 1 || config.jobs() > kMaxJobs) {
    return absl::InvalidArgumentError(absl::StrCat("jobs is ", config.jobs(), "; expected 1 to ", kMaxJobs));
  }
  const int jobs = config.jobs();
  ASSIGN_OR_RETURN(const Grid grid, MakeGrid(std::move(config)));
  for (const std::string& warning : grid.warnings) absl::FPrintF(stderr, "warning: %s\n", warning);
  RETURN_IF_ERROR(CheckDataFolders(grid));
  std::string out = grid.config.out();
  if (!shard_text.empty()) absl::StrAppend(&out, "/shard-", shard.index, "-of-", shard.count);
  if (absl::GetFlag(FLAGS_dry_run)) {
    RETURN_IF_ERROR(DryRun(grid, ResolveUserPath(out), shard, stdout));
    return kAllDone;
  }
  HoldSignals();
  ASSIGN_OR_RETURN(const SweepOutcome outcome,
                   RunSweep(grid, {.out = ResolveUserPath(out),
                                   .jobs = jobs,
                                   .shard = shard,
                                   .retry_failed = absl::GetFlag(FLAGS_retry_failed)}));
  return Conclude(outcome, out);
}

}  // namespace
}  // namespace halftone::sweep

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "trains a grid of models, activations, data sets and precisions: --config=FILE ...");
  const std::vector<std::string> sets = halftone::TakeRepeatedFlag("set", &argc, argv);
  const absl::StatusOr<std::vector<char*>> arguments =
      halftone::ParseFlags(halftone::sweep::kProgram, argc, argv);
  if (!arguments.ok()) return halftone::Fail(halftone::sweep::kProgram, arguments.status());
  const std::string run_one = absl::GetFlag(FLAGS_run_one);
  if (!run_one.empty()) return halftone::sweep::RunOne(run_one, absl::GetFlag(FLAGS_parent));
  const absl::StatusOr<int> code = halftone::sweep::Main(*arguments, sets);
  return code.ok() ? *code : halftone::Fail(halftone::sweep::kProgram, code.status());
}
