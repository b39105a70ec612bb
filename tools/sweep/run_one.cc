#include "tools/sweep/run_one.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "tools/sweep/estimate.h"
#include "train/build.h"
#include "train/config.h"
#include "train/run.h"
#include "train/version.h"

namespace halftone::sweep {
namespace {

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // or a signal handler could not use it

void RequestStop(int) { stop_requested = true; }

// With the parent gone, nobody would take this run's rows, and the next sweep would start it again beside
// this one.
bool EndWithParent(int parent) {
  if (parent == 0) return true;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == parent;
}

// When memory runs out, this process is to go, not the sweep. Where the kernel has no such file, it decides
// by itself.
void OfferToOomKiller() {
  if (std::FILE* file = std::fopen("/proc/self/oom_score_adj", "we")) {
    std::fputs("500", file);
    std::fclose(file);
  }
}

absl::Status WriteFacts(const TrainConfig& config) {
  RunFacts facts;
  {
    SetNumThreads(config.run().threads());
    ASSIGN_OR_RETURN(const Dataset dataset, LoadConfiguredDataset(config.data()));
    ASSIGN_OR_RETURN(facts, EstimateRun(config, dataset));
  }
  facts.set_threads(NumThreads());
  facts.set_hardware(DescribeCpu());
  facts.set_version(kVersion);
  return WriteFileAtomically(absl::StrCat(config.run().out(), "/", kFactsFile), PrintConfig(facts));
}

absl::StatusOr<RunResult> Train(const std::string& config_file) {
  ASSIGN_OR_RETURN(TrainConfig config, LoadTrainConfig(config_file, {}));
  RETURN_IF_ERROR(WriteFacts(config));
  std::error_code ignored;
  const bool has_checkpoint = std::filesystem::exists(config.run().out() + "/checkpoint", ignored);
  config.mutable_run()->set_resume(has_checkpoint);
  config.mutable_run()->set_overwrite(!has_checkpoint);
  return RunTraining(config, {.stop = &stop_requested, .compare_with_fp32 = false});
}

int CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAborted:  // as Trainer::Step says it
      return kDiverged;
    case absl::StatusCode::kResourceExhausted:  // as base/file.h says it
      return kDiskFull;
    default:
      return kFailed;
  }
}

}  // namespace

int RunOne(const std::string& config_file, int parent) {
  if (!EndWithParent(parent)) return kFailed;
  std::signal(SIGINT, RequestStop);
  std::signal(SIGTERM, RequestStop);
  OfferToOomKiller();
  try {
    const absl::StatusOr<RunResult> result = Train(config_file);
    if (result.ok()) return result->stopped && stop_requested ? kStopped : kDone;
    std::fprintf(stderr, "%s\n", std::string(result.status().message()).c_str());
    return CodeOf(result.status());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "out of memory; lower data.batch_size or model.width\n");
    return kFailed;
  }
}

}  // namespace halftone::sweep
