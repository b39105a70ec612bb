#include "tools/sweep/runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "tools/results/files.h"
#include "tools/sweep/epoch_times.h"
#include "tools/sweep/lock.h"
#include "tools/sweep/process.h"
#include "tools/sweep/results.h"
#include "tools/sweep/run_one.h"
#include "train/config.h"
#include "train/records/progress.h"
#include "train/version.h"

namespace halftone::sweep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMilliseconds = 200;

class Runner {
 public:
  Runner(const Grid& grid, const SweepOptions& options)
      : grid_(grid), options_(options), states_(grid.runs.size()), progress_(options.log) {}

  absl::StatusOr<SweepOutcome> Go() {
    RETURN_IF_ERROR(Prepare());
    const absl::Status status = Loop();
    if (!status.ok()) {
      KillAll();
      return status;
    }
    SweepOutcome outcome = {.interrupted = stopping_};
    for (size_t i = 0; i < states_.size(); ++i) {
      if (!options_.shard.Has(i)) continue;
      ++outcome.runs;
      outcome.done += IsDone(i);
      outcome.failed += states_[i].failed;
    }
    return outcome;
  }

 private:
  struct State {
    int64_t epochs = 0;  // in the CSVs
    bool failed = false;
    int64_t killed_in = 0;  // the epoch in which it was last killed, and started again
    std::string accuracy;   // of its last epoch, on the test split
  };

  const Run& run(size_t i) const { return grid_.runs[i]; }
  int64_t EpochsOf(size_t i) const { return run(i).config.run().epochs(); }
  bool IsDone(size_t i) const { return states_[i].epochs >= EpochsOf(i); }
  std::string Folder(size_t i) const { return absl::StrCat(options_.out, "/runs/", run(i).id); }

  absl::Status Prepare() {
    RETURN_IF_ERROR(MakeDirectories(options_.out));
    ASSIGN_OR_RETURN(lock_, FolderLock::Take(options_.out));
    ASSIGN_OR_RETURN(const bool known, HoldsThisSweep(options_.out, grid_));
    if (!known) {
      RETURN_IF_ERROR(WriteFileAtomically(
          absl::StrCat(options_.out, "/", kSweepConfigFile),
          absl::StrCat("# Halftone ", kVersion, ", ", DescribeCpu(), "\n", PrintConfig(grid_.config))));
    }
    ASSIGN_OR_RETURN(Results results, ReadResults(options_.out, grid_.runs));
    for (const std::string& note : results.notes) progress_.Line(absl::StrCat("warning: ", note));
    ASSIGN_OR_RETURN(writer_, ResultsWriter::Open(options_.out, results));
    if (options_.retry_failed) RETURN_IF_ERROR(ForgetFailures(results));
    for (const Row& row : results.rows) Count(row);
    SetNumThreads(0);
    threads_ = std::max(1, NumThreads() / options_.jobs);
    for (size_t i = 0; i < grid_.runs.size(); ++i) {
      if (!options_.shard.Has(i)) continue;
      ++runs_;
      // What a run had finished when the sweep was killed.
      if (!states_[i].failed) RETURN_IF_ERROR(Harvest(i));
      if (!states_[i].failed && !IsDone(i)) waiting_.push_back(i);
    }
    harvested_seconds_ = 0;
    progress_.Line(absl::StrFormat("%s: %d runs, %d of them done, %d at a time with %s each", options_.out,
                                   runs_, runs_ - static_cast<int>(waiting_.size()), options_.jobs,
                                   ThreadsText(grid_, options_.shard, threads_)));
    start_ = Clock::now();
    return absl::OkStatus();
  }

  absl::Status ForgetFailures(Results& results) {
    const auto failed = [](const Row& row) { return row.failed(); };
    results.rows.erase(std::remove_if(results.rows.begin(), results.rows.end(), failed), results.rows.end());
    RETURN_IF_ERROR(WriteResults(options_.out, results.rows));
    ASSIGN_OR_RETURN(results, ReadResults(options_.out, grid_.runs));
    ASSIGN_OR_RETURN(writer_, ResultsWriter::Open(options_.out, results));
    return absl::OkStatus();
  }

  void Count(const Row& row) {
    State& state = states_[row.run];
    if (row.failed()) {
      state.failed = true;
      return;
    }
    state.epochs = row.epoch;
    state.accuracy = row.result[7];
    times_.Add(run(row.run), row.seconds());
    harvested_seconds_ += row.seconds();
  }

  absl::Status Loop() {
    while (!running_.empty() || (!stopping_ && !waiting_.empty())) {
      while (!stopping_ && !waiting_.empty() && static_cast<int>(running_.size()) < options_.jobs) {
        const size_t next = waiting_.front();
        waiting_.pop_front();
        RETURN_IF_ERROR(Start(next));
      }
      if (WaitForSignal(kPollMilliseconds)) Stop();
      for (const auto& [process, i] : running_) RETURN_IF_ERROR(Harvest(i));
      for (Ended ended = TakeEnded(); ended.process != 0; ended = TakeEnded()) {
        const auto at = running_.find(ended.process);
        if (at == running_.end()) continue;
        const size_t i = at->second;
        running_.erase(at);
        RETURN_IF_ERROR(Finish(i, ended));
      }
      progress_.Update([&] { return Describe(); });
    }
    return absl::OkStatus();
  }

  absl::Status Start(size_t i) {
    const std::string folder = Folder(i);
    RETURN_IF_ERROR(MakeDirectories(folder));
    TrainConfig config = run(i).config;
    config.mutable_run()->set_out(folder);
    if (config.run().threads() == 0) config.mutable_run()->set_threads(threads_);
    const std::string file = absl::StrCat(folder, "/", kRunFile);
    RETURN_IF_ERROR(WriteFileAtomically(file, PrintConfig(config)));
    ASSIGN_OR_RETURN(const pid_t process,
                     StartSelf({absl::StrCat("--run_one=", file), absl::StrCat("--parent=", getpid())},
                               absl::StrCat(folder, "/", kLogFile)));
    running_[process] = i;
    return absl::OkStatus();
  }

  // Takes over the epochs that the run has finished.
  absl::Status Harvest(size_t i) {
    ASSIGN_OR_RETURN(const std::vector<EpochRow> epochs, ReadMetrics(Folder(i) + "/metrics.csv"));
    if (static_cast<int64_t>(epochs.size()) <= states_[i].epochs) return absl::OkStatus();
    const RunFacts facts = FactsOf(i);
    for (size_t e = static_cast<size_t>(states_[i].epochs); e < epochs.size(); ++e) {
      ASSIGN_OR_RETURN(const Row row, writer_->AddEpoch(i, run(i), epochs[e], facts));
      Count(row);
    }
    return absl::OkStatus();
  }

  RunFacts FactsOf(size_t i) const {
    RunFacts facts;
    const absl::Status status = MergeTextFile(absl::StrCat(Folder(i), "/", kFactsFile), facts);
    if (status.ok()) return facts;
    // It had not come so far.
    facts.Clear();
    facts.set_threads(threads_);
    facts.set_hardware(DescribeCpu());
    facts.set_version(kVersion);
    return facts;
  }

  absl::Status Finish(size_t i, const Ended& ended) {
    RETURN_IF_ERROR(Harvest(i));
    if (IsDone(i)) {
      const std::string accuracy = Percent(states_[i].accuracy);
      progress_.Line(absl::StrFormat("[%d/%d] %s: %s", runs_ - Left(), runs_, run(i).id,
                                     accuracy.empty() ? "done" : absl::StrCat("test accuracy ", accuracy)));
      std::error_code ignored;
      if (!grid_.config.keep_checkpoints()) std::filesystem::remove_all(Folder(i) + "/checkpoint", ignored);
      return absl::OkStatus();
    }
    if (stopping_ && (ended.code == kStopped || ended.signal == SIGKILL)) {
      waiting_.push_front(i);
      return absl::OkStatus();
    }
    const std::string last_line = LastLine(absl::StrCat(Folder(i), "/", kLogFile));
    if (ended.code == kDiskFull) {
      // The log may be the first that has no room.
      return absl::ResourceExhaustedError(absl::StrCat(
          run(i).id, ": ", last_line.empty() ? absl::StrCat("no space left in ", options_.out) : last_line));
    }
    const bool from_outside = ended.code == kStopped || ended.signal == SIGKILL || ended.signal == SIGTERM;
    const int64_t epoch = states_[i].epochs + 1;
    if (from_outside && states_[i].killed_in != epoch) {
      // By hand, or by the kernel for want of memory, of which there may be more the next time.
      states_[i].killed_in = epoch;
      progress_.Line(
          absl::StrFormat("%s was killed in epoch %d; once more from its checkpoint", run(i).id, epoch));
      waiting_.push_front(i);
      return absl::OkStatus();
    }
    return Record(i, ended, last_line);
  }

  absl::Status Record(size_t i, const Ended& ended, const std::string& last_line) {
    std::string reason = last_line;
    if (ended.signal == SIGKILL) {
      reason = absl::StrCat("killed by ", SignalText(SIGKILL),
                            " twice in this epoch, as the kernel does when memory runs out");
    } else if (ended.signal != 0) {
      reason = absl::StrCat("killed by ", SignalText(ended.signal), "; it said last: ", last_line);
    } else if (ended.code == kDone) {
      reason = "ended before its last epoch";
    }
    const std::string status = ended.code == kDiverged ? "diverged" : "failed";
    const int64_t epoch = states_[i].epochs + 1;
    ASSIGN_OR_RETURN(const Row row, writer_->AddFailure(i, run(i), epoch, status, reason, FactsOf(i)));
    Count(row);
    progress_.Line(absl::StrFormat("[%d/%d] %s %s in epoch %d: %s", runs_ - Left(), runs_, run(i).id, status,
                                   epoch, reason));
    return absl::OkStatus();
  }

  void Stop() {
    for (const auto& [process, i] : running_) kill(process, stopping_ ? SIGKILL : SIGTERM);
    if (!stopping_)
      progress_.Line("stopping: the runs under way write their checkpoints; once more to stop at once");
    stopping_ = true;
  }

  void KillAll() {
    for (const auto& [process, i] : running_) kill(process, SIGTERM);
    while (!running_.empty()) {
      if (WaitForSignal(kPollMilliseconds)) {
        for (const auto& [process, i] : running_) kill(process, SIGKILL);
      }
      for (Ended ended = TakeEnded(); ended.process != 0; ended = TakeEnded()) running_.erase(ended.process);
    }
  }

  // Runs that are neither done nor failed.
  int Left() const { return static_cast<int>(waiting_.size() + running_.size()); }

  static std::string Percent(const std::string& share) {
    double value = 0;
    return absl::SimpleAtod(share, &value) ? absl::StrFormat("%.2f%%", 100 * value) : "";
  }

  std::string Describe() const {
    std::vector<std::string> lines;
    for (const auto& [process, i] : running_) {
      const State& state = states_[i];
      lines.push_back(absl::StrFormat("%s epoch %d/%d", run(i).id, state.epochs + 1, EpochsOf(i)));
      if (state.epochs > 0) absl::StrAppend(&lines.back(), " test acc ", Percent(state.accuracy));
    }
    if (const size_t all = lines.size(); all > 1) {  // one line on a terminal
      lines.resize(1);
      lines.push_back(absl::StrCat(all - 1, " more"));
    }
    const std::optional<double> left = SecondsLeft();
    return absl::StrFormat("[%d/%d] %s%s", runs_ - Left(), runs_, absl::StrJoin(lines, "; "),
                           left.has_value() ? absl::StrCat("; ", HumanSeconds(*left), " left") : "");
  }

  // None before an epoch was measured.
  std::optional<double> SecondsLeft() const {
    double seconds = 0;
    const auto add = [&](size_t i) {
      const std::optional<double> epoch = times_.Seconds(run(i));
      if (epoch.has_value()) seconds += *epoch * static_cast<double>(EpochsOf(i) - states_[i].epochs);
      return epoch.has_value();
    };
    for (const auto& [process, i] : running_) {
      if (!add(i)) return std::nullopt;
    }
    for (const size_t i : waiting_) {
      if (!add(i)) return std::nullopt;
    }
    // An epoch's own time is without evaluation, checkpoints and a run's start.
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count() * options_.jobs;
    const double factor = harvested_seconds_ > 0 ? std::clamp(elapsed / harvested_seconds_, 1.0, 10.0) : 1.0;
    return seconds * factor / options_.jobs;
  }

  const Grid& grid_;
  const SweepOptions& options_;
  std::vector<State> states_;  // of the grid's runs
  Progress progress_;
  std::unique_ptr<FolderLock> lock_;
  std::unique_ptr<ResultsWriter> writer_;
  EpochTimes times_;
  std::deque<size_t> waiting_;
  std::map<pid_t, size_t> running_;
  int runs_ = 0;  // of the shard
  int threads_ = 1;
  bool stopping_ = false;
  double harvested_seconds_ = 0;  // since the start
  Clock::time_point start_;
};

}  // namespace

absl::StatusOr<bool> HoldsThisSweep(const std::string& folder, const Grid& grid) {
  const std::string path = absl::StrCat(folder, "/", kSweepConfigFile);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    for (const char* name : {kResultsFile, kDetailsFile}) {
      if (!std::filesystem::exists(absl::StrCat(folder, "/", name), ignored)) continue;
      return absl::FailedPreconditionError(
          absl::StrCat(folder, " has a ", name, " and no ", kSweepConfigFile, "; choose another out"));
    }
    return false;
  }
  SweepConfig theirs;
  RETURN_IF_ERROR(MergeTextFile(path, theirs));
  const std::string difference = FirstDifference(Identity(theirs), Identity(grid.config));
  if (difference.empty()) return true;
  return absl::FailedPreconditionError(
      absl::StrCat(folder, " holds another sweep (", difference, "); choose another out"));
}

absl::StatusOr<SweepOutcome> RunSweep(const Grid& grid, const SweepOptions& options) {
  return Runner(grid, options).Go();
}

}  // namespace halftone::sweep
