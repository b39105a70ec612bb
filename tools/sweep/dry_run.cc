#include "tools/sweep/dry_run.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "datasets/dataset.h"
#include "tools/sweep/estimate.h"
#include "tools/sweep/results.h"
#include "tools/sweep/runner.h"
#include "train/build.h"
#include "train/config.h"
#include "train/records/progress.h"
#include "train/trainer.h"

namespace halftone::sweep {
namespace {

constexpr int64_t kExamples = 16;  // of a measured step
constexpr int kSteps = 3;          // the first one, which makes oneDNN's primitives, is not the fastest

class DryRunner {
 public:
  DryRunner(const Grid& grid, std::FILE* to) : grid_(grid), to_(to), states_(grid.runs.size()) {}

  absl::Status Go(const std::string& out, const Shard& shard) {
    ASSIGN_OR_RETURN(const bool known, HoldsThisSweep(out, grid_));
    if (known) RETURN_IF_ERROR(ReadStates(out));
    SetNumThreads(0);
    const std::string threads = ThreadsText(grid_, shard, NumThreads());
    size_t width = 0;
    for (const Run& run : grid_.runs) width = std::max(width, run.id.size());
    absl::FPrintF(to_, "%-*s %7s %12s %-5s %11s  %s\n", static_cast<int>(width), "run", "epochs", "time",
                  "from", "memory, MiB", "state");
    for (size_t i = 0; i < grid_.runs.size(); ++i) {
      if (shard.Has(i)) RETURN_IF_ERROR(Line(i, static_cast<int>(width)));
    }
    absl::FPrintF(to_,
                  "\n%d runs, %d of them to do: %s one after the other with %s, without evaluation; "
                  "at most %.1f MiB each.\nTimes are from the rows in %s, or from a step of %d examples "
                  "measured now.\n",
                  runs_, to_do_, HumanSeconds(seconds_), threads, memory_, out, kExamples);
    return absl::OkStatus();
  }

 private:
  struct State {
    int64_t epochs = 0;
    std::string failure;
  };

  absl::Status ReadStates(const std::string& out) {
    ASSIGN_OR_RETURN(const Results results, ReadResults(out, grid_.runs));
    for (const Row& row : results.rows) {
      State& state = states_[row.run];
      if (row.failed()) {
        state.failure = row.reason();
      } else {
        state.epochs = row.epoch;
        const Run& run = grid_.runs[row.run];
        measured_[KeyOf(run)].push_back(row.seconds());
      }
    }
    return absl::OkStatus();
  }

  absl::Status Line(size_t i, int width) {
    const Run& run = grid_.runs[i];
    const State& state = states_[i];
    const int64_t epochs = run.config.run().epochs();
    ++runs_;
    ASSIGN_OR_RETURN(const Dataset* dataset, Load(run));
    const absl::Status batches = CheckBatches(run.config.data(), *dataset);
    const absl::StatusOr<RunFacts> facts =
        batches.ok() ? EstimateRun(run.config, *dataset) : absl::StatusOr<RunFacts>(batches);
    if (!facts.ok()) {
      absl::FPrintF(to_, "%-*s cannot be: %s\n", width, run.id, facts.status().message());
      return absl::OkStatus();
    }
    const MemoryEstimate& m = facts->memory();
    const double mebibytes = m.parameters() + m.gradients() + m.optimizer() + m.activations();
    ASSIGN_OR_RETURN(const auto seconds_and_source, EpochSeconds(run, *dataset));
    const double seconds = seconds_and_source.first * static_cast<double>(epochs);
    const std::string what = !state.failure.empty()   ? absl::StrCat("failed: ", state.failure)
                             : state.epochs >= epochs ? "done"
                             : state.epochs > 0 ? absl::StrFormat("%d of %d epochs", state.epochs, epochs)
                                                : "to do";
    absl::FPrintF(to_, "%-*s %7d %12s %-5s %11.1f  %s\n", width, run.id, epochs, HumanSeconds(seconds),
                  seconds_and_source.second, mebibytes, what);
    std::fflush(to_);
    memory_ = std::max(memory_, mebibytes);
    if (!state.failure.empty() || state.epochs >= epochs) return absl::OkStatus();
    ++to_do_;
    seconds_ += seconds * static_cast<double>(epochs - state.epochs) / static_cast<double>(epochs);
    return absl::OkStatus();
  }

  // As a run makes its batches: of a data set with fewer examples than one it has none.
  static absl::Status CheckBatches(const DataConfig& data, const Dataset& dataset) {
    Device device(/*notes=*/nullptr);
    return dataset
        .TrainBatches(device, {.batch_size = data.batch_size(),
                               .augment = data.augment(),
                               .bucket_batches = data.bucket_batches()})
        .status();
  }

  // Every data set is read once.
  absl::StatusOr<const Dataset*> Load(const Run& run) {
    const std::string key = PrintConfig(run.config.data());
    const auto at = datasets_.find(key);
    if (at != datasets_.end()) return &at->second;
    ASSIGN_OR_RETURN(Dataset dataset, LoadConfiguredDataset(run.config.data()));
    return &datasets_.emplace(key, std::move(dataset)).first->second;
  }

  // Of an epoch: activation functions and seeds take the same time.
  static std::string KeyOf(const Run& run) {
    TrainConfig config = run.config;
    config.mutable_model()->clear_activation();
    config.clear_run();
    config.mutable_run()->set_threads(run.config.run().threads());
    return PrintConfig(config);
  }

  absl::StatusOr<std::pair<double, absl::string_view>> EpochSeconds(const Run& run, const Dataset& dataset) {
    const std::string key = KeyOf(run);
    if (const auto rows = measured_.find(key); rows != measured_.end()) {
      double sum = 0;
      for (const double s : rows->second) sum += s;
      return std::pair(sum / static_cast<double>(rows->second.size()), absl::string_view("rows"));
    }
    auto step = steps_.find(key);
    if (step == steps_.end()) {
      ASSIGN_OR_RETURN(const double seconds, MeasureEpoch(run.config, dataset));
      step = steps_.emplace(key, seconds).first;
    }
    return std::pair(step->second, absl::string_view("step"));
  }

  static absl::StatusOr<double> MeasureEpoch(TrainConfig config, const Dataset& dataset) {
    using Clock = std::chrono::steady_clock;
    const int64_t examples = std::min({kExamples, config.data().batch_size(), dataset.train_size()});
    config.mutable_data()->set_batch_size(examples);
    config.mutable_data()->set_micro_batches(1);
    SetNumThreads(config.run().threads());
    Device device(/*notes=*/nullptr);
    ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, MakeTrainer(config, dataset, kSteps, device));
    ASSIGN_OR_RETURN(const std::unique_ptr<BatchSource> batches,
                     dataset.TrainBatches(device, {.batch_size = examples}));
    const Batch batch = batches->Next();
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kSteps; ++i) {
      const Clock::time_point start = Clock::now();
      RETURN_IF_ERROR(trainer->Step(batch).status());
      best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    }
    return best / static_cast<double>(examples) * static_cast<double>(dataset.train_size());
  }

  const Grid& grid_;
  std::FILE* to_;
  std::vector<State> states_;
  std::map<std::string, Dataset> datasets_;              // by their configs
  std::map<std::string, std::vector<double>> measured_;  // seconds of epochs, by KeyOf
  std::map<std::string, double> steps_;                  // seconds of an epoch, by KeyOf
  int runs_ = 0, to_do_ = 0;
  double seconds_ = 0, memory_ = 0;
};

}  // namespace

absl::Status DryRun(const Grid& grid, const std::string& out, const Shard& shard, std::FILE* to) {
  return DryRunner(grid, to).Go(out, shard);
}

}  // namespace halftone::sweep
