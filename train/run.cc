#include "train/run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "datasets/dataset.h"
#include "nn/parameter.h"
#include "tensor/allocator.h"
#include "tensor/ops/cast/cast.h"
#include "train/build.h"
#include "train/checkpoint/checkpoint.h"
#include "train/checkpoint/pretrained.h"
#include "train/config.h"
#include "train/open_device.h"
#include "train/recipe_speed.h"
#include "train/records/event_file.h"
#include "train/records/progress.h"
#include "train/trainer.h"
#include "train/version.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Mebibytes(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// One run under way.
class Run {
 public:
  Run(TrainConfig config, const RunOptions& options)
      : config_(std::move(config)),
        options_(options),
        out_(ResolveUserPath(config_.run().out())),
        csv_(out_ + "/metrics.csv"),
        progress_(options.log) {}

  absl::StatusOr<RunResult> Go() {
    RETURN_IF_ERROR(Prepare());
    while (result_.last.epoch < config_.run().epochs() && !result_.stopped) RETURN_IF_ERROR(TrainEpoch());
    Summarise();
    return result_;
  }

 private:
  absl::Status Prepare() {
    SetNumThreads(config_.run().threads());
    ASSIGN_OR_RETURN(device_, OpenDevice(config_.run(), options_.log));
    ASSIGN_OR_RETURN(dataset_, LoadConfiguredDataset(config_.data()));
    RETURN_IF_ERROR(MakeBatches({}));
    total_steps_ = batches_->batches_per_epoch() * config_.run().epochs();
    ASSIGN_OR_RETURN(trainer_, MakeTrainer(config_, dataset_, total_steps_, *device_));
    ASSIGN_OR_RETURN(test_batches_, dataset_.TestBatches(*device_, config_.data().batch_size()));
    RETURN_IF_ERROR(config_.run().resume() ? Resume() : StartAnew());
    RETURN_IF_ERROR(StartEvents());
    progress_.Line(absl::StrFormat("%s: %s on %s (%d training and %d test %s), %s, %d epochs of %d steps, %s",
                                   config_.run().out(), config_.model().name(), dataset_.name(),
                                   dataset_.train_size(), dataset_.test_size(), dataset_.unit(),
                                   config_.precision().recipe(), config_.run().epochs(),
                                   batches_->batches_per_epoch(), DescribeDevice(*device_)));
    if (const std::string about = batches_->About(); !about.empty()) progress_.Line(about);
    if (trainer_->quantization().any()) {
      for (const std::string& line : trainer_->quantization().Lines())
        progress_.Line(absl::StrCat("quantised: ", line));
      device_->SayOnce(amp::EmulationNote(*device_));
    }
    if (options_.compare_with_fp32 && config_.precision().recipe() != "fp32") SayWhetherRecipePays();
    return absl::OkStatus();
  }

  // Noise is some per cent; only what is beyond it is worth a word. An error here is one that training will
  // meet again.
  void SayWhetherRecipePays() {
    constexpr double kWorthAWord = 1.1;
    const absl::StatusOr<double> ratio = StepTimeOverFp32(config_, dataset_);
    if (!ratio.ok() || *ratio < kWorthAWord) return;
    device_->SayOnce(absl::StrFormat("%s takes %.2f times as long as fp32 for a step on this machine",
                                     config_.precision().recipe(), *ratio));
  }

  absl::Status MakeBatches(LoaderPosition start) {
    const DataConfig& data = config_.data();
    ASSIGN_OR_RETURN(batches_, dataset_.TrainBatches(*device_,
                                                     {.batch_size = data.batch_size(),
                                                      .augment = data.augment(),
                                                      .bucket_batches = data.bucket_batches(),
                                                      .seed = config_.run().seed()},
                                                     start));
    return absl::OkStatus();
  }

  absl::Status StartAnew() {
    RETURN_IF_ERROR(LoadPretrained());
    std::error_code ignored;
    for (const char* name : {"/config.textproto", "/metrics.csv", "/tensorboard", "/checkpoint"}) {
      if (!std::filesystem::exists(out_ + name, ignored)) continue;
      if (!config_.run().overwrite()) {
        return absl::AlreadyExistsError(
            absl::StrCat(config_.run().out(),
                         " holds a run already; go on with --resume, replace it with --overwrite (resume and "
                         "overwrite of run in a config), or choose another run.out"));
      }
      std::filesystem::remove_all(out_ + name, ignored);
    }
    RETURN_IF_ERROR(MakeDirectories(out_));
    return WriteFileAtomically(
        out_ + "/config.textproto",
        absl::StrCat("# Halftone ", kVersion, ", ", DescribeDevice(*device_), "\n", PrintConfig(config_)));
  }

  absl::Status StartEvents() {
    const RunConfig& run = config_.run();
    if (run.events_every_steps() == 0 && run.histograms_every_steps() == 0) return absl::OkStatus();
    const std::string folder = out_ + "/tensorboard";
    RETURN_IF_ERROR(MakeDirectories(folder));
    ASSIGN_OR_RETURN(EventFile events, EventFile::Create(folder, trainer_->step() + 1));
    events_ = std::make_unique<EventFile>(std::move(events));
    if (run.histograms_every_steps() > 0) {
      trainer_->BeforeUpdate([this] { event_status_.Update(WriteHistograms()); });
    }
    return absl::OkStatus();
  }

  absl::Status WriteHistograms() {
    const int64_t step = trainer_->step() + 1;
    if (step % config_.run().histograms_every_steps() != 0) return absl::OkStatus();
    for (const nn::Parameter* p : trainer_->parameters()) {
      const Tensor weights = ops::Cast(p->master(), DType::kF32);
      RETURN_IF_ERROR(events_->Histogram(step, absl::StrCat("weights/", p->path()), weights.span<float>()));
      RETURN_IF_ERROR(
          events_->Histogram(step, absl::StrCat("gradients/", p->path()), p->gradient().span<float>()));
    }
    return absl::OkStatus();
  }

  absl::Status WriteStep(const StepResult& step) {
    const int64_t every = config_.run().events_every_steps(), now = step.step;
    RETURN_IF_ERROR(event_status_);
    if (every == 0 || now % every != 0) return absl::OkStatus();
    return events_->Scalars(now, {{"step/loss", step.loss},
                                  {"step/gradient_norm", step.grad_norm},
                                  {"step/loss_scale", step.scale},
                                  {"step/learning_rate", trainer_->LearningRateOf(now - 1)},
                                  {"step/skipped", step.skipped ? 1.0 : 0.0}});
  }

  absl::Status WriteEpoch(const EpochMetrics& m) {
    if (config_.run().events_every_steps() == 0) return absl::OkStatus();
    return events_->Scalars(m.step, {{"epoch/train_loss", m.train_loss},
                                     {"epoch/train_accuracy", m.train_accuracy},
                                     {"epoch/test_loss", m.test_loss},
                                     {"epoch/test_accuracy", m.test_accuracy},
                                     {"epoch/images_per_second", m.images_per_second},
                                     {"epoch/peak_MiB", Mebibytes(m.peak_bytes)}});
  }

  absl::Status LoadPretrained() {
    const std::string& weights = config_.model().weights();
    if (weights.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const PretrainedReport report,
                     LoadPretrainedWeights(ResolveInputPath(weights), trainer_->model()));
    for (const std::string& line : report.Lines(weights)) progress_.Line(line);
    return absl::OkStatus();
  }

  absl::Status Resume() {
    const std::string folder = out_ + "/checkpoint";
    std::error_code ignored;
    if (!std::filesystem::exists(folder, ignored)) {
      return absl::NotFoundError(absl::StrCat("run.resume: ", config_.run().out(),
                                              " has no checkpoint; leave out resume to start a new run"));
    }
    ASSIGN_OR_RETURN(state_, ReadCheckpointState(folder));
    const std::string difference = FirstDifference(Identity(state_.config()), Identity(config_));
    if (!difference.empty()) {
      return absl::FailedPreconditionError(absl::StrCat("run.resume: the checkpoint in ", config_.run().out(),
                                                        " was made with another config (", difference,
                                                        "); use that config, or another run.out"));
    }
    RETURN_IF_ERROR(LoadCheckpoint(folder, state_, *trainer_));
    RETURN_IF_ERROR(csv_.KeepEpochs(state_.epoch()));
    RETURN_IF_ERROR(MakeBatches({.epoch = state_.epoch(), .batch = state_.batch()}));
    result_.last.epoch = state_.epoch();
    result_.steps = state_.step();
    result_.seconds = state_.total_seconds();
    progress_.Line(absl::StrFormat("resuming after step %d, in epoch %d", state_.step(), state_.epoch() + 1));
    return absl::OkStatus();
  }

  // What two configs must agree in for one to continue the other. Where things lie does not matter.
  static TrainConfig Identity(TrainConfig config) {
    config.mutable_data()->clear_root();
    config.mutable_data()->clear_vocabulary();
    config.mutable_model()->clear_weights();
    RunConfig* run = config.mutable_run();
    const uint64_t seed = run->seed();
    const int64_t epochs = run->epochs();
    run->Clear();
    run->set_seed(seed);
    run->set_epochs(epochs);
    return config;
  }

  absl::Status TrainEpoch() {
    const int64_t batches = batches_->batches_per_epoch();
    last_taken_ = Clock::now();
    for (int64_t begun = state_.batch(); begun < batches;) {
      ASSIGN_OR_RETURN(const std::vector<StepResult> results, trainer_->Enqueue(batches_->Next()));
      RETURN_IF_ERROR(Take(results));
      if (++begun == batches) break;
      const bool stop = (options_.stop != nullptr && options_.stop->load()) || StopHere();
      const int64_t every = config_.run().checkpoint_every_steps();
      if (stop || (every > 0 && trainer_->step() % every == 0)) {
        RETURN_IF_ERROR(TakeRest());
        RETURN_IF_ERROR(Save());
        last_taken_ = Clock::now();
      }
      if (stop) {
        result_.stopped = true;
        return absl::OkStatus();
      }
    }
    RETURN_IF_ERROR(TakeRest());
    return FinishEpoch();
  }

  absl::Status TakeRest() {
    ASSIGN_OR_RETURN(const std::vector<StepResult> results, trainer_->Finish());
    return Take(results);
  }

  // The results of steps that are done: together they took the time since the last ones.
  absl::Status Take(const std::vector<StepResult>& results) {
    if (results.empty()) return absl::OkStatus();
    const double seconds = SecondsSince(std::exchange(last_taken_, Clock::now()));
    for (const StepResult& step : results) {
      Count(step, seconds / static_cast<double>(results.size()));
      Tell(step);
      RETURN_IF_ERROR(WriteStep(step));
    }
    progress_.Update([&] { return Describe(results.back()); });
    return absl::OkStatus();
  }

  void Count(const StepResult& step, double seconds) {
    // A skipped step's loss may be infinite; the epoch's mean is over the others.
    if (step.skipped) {
      state_.set_epoch_skipped(state_.epoch_skipped() + 1);
    } else {
      state_.set_epoch_loss_sum(state_.epoch_loss_sum() + step.loss * static_cast<double>(step.examples));
      state_.set_epoch_correct(state_.epoch_correct() + step.correct);
      state_.set_epoch_images(state_.epoch_images() + step.examples);
    }
    state_.set_epoch_seconds(state_.epoch_seconds() + seconds);
    state_.set_batch(state_.batch() + 1);
    result_.steps = step.step;
    result_.seconds += seconds;
    state_.set_total_seconds(result_.seconds);
    state_.set_peak_bytes(PeakBytes());
  }

  void Tell(const StepResult& step) {
    for (const std::string& warning : step.warnings) progress_.Line(absl::StrCat("warning: ", warning));
    if (step.overflow.has_value()) {
      progress_.Line(absl::StrFormat("step %d skipped with loss scale %g, now %g; %s", step.step, step.scale,
                                     step.update.new_scale,
                                     absl::StripSuffix(step.overflow->ToString(), "\n")));
    }
    if (step.update.action == FloorAction::kEnterFallback) {
      progress_.Line(absl::StrFormat("the loss scale is at its floor: %d steps in %s",
                                     config_.loss_scale().fallback_steps(),
                                     config_.loss_scale().fallback_recipe()));
    } else if (step.update.action == FloorAction::kLeaveFallback) {
      progress_.Line(absl::StrCat("the fallback ends: on in ", config_.precision().recipe()));
    }
  }

  int64_t PeakBytes() {
    return std::max<int64_t>(state_.peak_bytes(), device_->allocator().stats().peak_bytes);
  }

  double MeanLoss() const {
    return state_.epoch_loss_sum() / static_cast<double>(std::max<int64_t>(1, state_.epoch_images()));
  }
  double Accuracy() const {
    return static_cast<double>(state_.epoch_correct()) /
           static_cast<double>(std::max<int64_t>(1, state_.epoch_images()));
  }
  double ImagesPerSecond() const {
    return static_cast<double>(state_.batch() * config_.data().batch_size()) /
           std::max(1e-9, state_.epoch_seconds());
  }

  std::string Describe(const StepResult& step) {
    const double rate = ImagesPerSecond() / static_cast<double>(config_.data().batch_size());
    return absl::StrFormat("epoch %d/%d step %d/%d  loss %.4f  acc %.2f%%  %.0f %s/s  loss scale %g  %s left",
                           state_.epoch() + 1, config_.run().epochs(), state_.batch(),
                           batches_->batches_per_epoch(), MeanLoss(), 100 * Accuracy(), ImagesPerSecond(),
                           dataset_.unit(), step.scale,
                           HumanSeconds(static_cast<double>(total_steps_ - step.step) / rate));
  }

  bool StopHere() const {
    const int64_t after = config_.run().stop_after_steps();
    return after > 0 && trainer_->step() >= after;
  }

  absl::Status FinishEpoch() {
    ASSIGN_OR_RETURN(const Evaluation test, trainer_->Evaluate(*test_batches_));
    if (!std::isfinite(test.loss)) {
      return absl::AbortedError(
          absl::StrFormat("the test loss became %f after step %d; lower the learning rate, or check the data",
                          test.loss, trainer_->step()));
    }
    EpochMetrics& m = result_.last;
    m = {.epoch = state_.epoch() + 1,
         .step = trainer_->step(),
         .train_loss = MeanLoss(),
         .train_accuracy = Accuracy(),
         .test_loss = test.loss,
         .test_accuracy = test.accuracy,
         .learning_rate = trainer_->LearningRateOf(trainer_->step() - 1),
         .loss_scale = trainer_->scaler().scale(),
         .skipped_steps = state_.epoch_skipped(),
         .seconds = state_.epoch_seconds(),
         .images_per_second = ImagesPerSecond(),
         .peak_bytes = PeakBytes()};
    progress_.Line(
        absl::StrFormat("epoch %d/%d  train loss %.4f acc %.2f%%  test loss %.4f acc %.2f%%  %.1f s  %.0f "
                        "%s/s  loss scale %g  skipped %d  peak %.0f MiB",
                        m.epoch, config_.run().epochs(), m.train_loss, 100 * m.train_accuracy, m.test_loss,
                        100 * m.test_accuracy, m.seconds, m.images_per_second, dataset_.unit(), m.loss_scale,
                        m.skipped_steps, Mebibytes(m.peak_bytes)));
    RETURN_IF_ERROR(csv_.Append(m));
    RETURN_IF_ERROR(WriteEpoch(m));
    CheckpointState next;
    next.set_epoch(state_.epoch() + 1);
    next.set_total_seconds(state_.total_seconds());
    next.set_peak_bytes(m.peak_bytes);
    state_ = next;
    RETURN_IF_ERROR(Save());
    if (StopHere() && m.epoch < config_.run().epochs()) result_.stopped = true;
    return absl::OkStatus();
  }

  absl::Status Save() {
    CheckpointState state = state_;
    *state.mutable_config() = config_;
    return SaveCheckpoint(out_ + "/checkpoint", *trainer_, std::move(state));
  }

  void Summarise() {
    if (result_.stopped) {
      progress_.Line(
          absl::StrFormat("stopped after step %d of %d; go on with --resume", result_.steps, total_steps_));
      return;
    }
    if (result_.last.step == 0) {
      progress_.Line(absl::StrCat(config_.run().out(), " is complete already: all ", result_.last.epoch,
                                  " epochs are done"));
      return;
    }
    progress_.Line(absl::StrFormat(
        "test accuracy %.2f%%  test loss %.4f  %s  %s training  peak %.0f MiB  -> %s",
        100 * result_.last.test_accuracy, result_.last.test_loss, config_.precision().recipe(),
        HumanSeconds(result_.seconds), Mebibytes(PeakBytes()), config_.run().out()));
    const StepSummary& totals = trainer_->statistics().totals();
    if (totals.skipped() > 0) {
      progress_.Line(absl::StrFormat(
          "%d of %d steps skipped (overflow rate %.2f%%); the loss scale rose %d times, fell %d times",
          totals.skipped(), totals.steps, 100 * totals.overflow_rate(), totals.scale_increases,
          totals.scale_decreases));
    }
    for (const std::string& line : device_->Said()) progress_.Line(absl::StrCat("note: ", line));
  }

  const TrainConfig config_;
  const RunOptions options_;
  const std::string out_;
  MetricsCsv csv_;
  std::unique_ptr<EventFile> events_;  // null where none are asked for
  absl::Status event_status_;          // of histograms
  Progress progress_;
  std::unique_ptr<Device> device_;  // outlives what follows
  Dataset dataset_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<BatchSource> batches_, test_batches_;
  int64_t total_steps_ = 0;
  Clock::time_point last_taken_;  // the newest results
  CheckpointState state_;         // where in the run we are; the trainer's part is filled in when it is saved
  RunResult result_;
};

}  // namespace

absl::StatusOr<RunResult> RunTraining(TrainConfig config, const RunOptions& options) {
  RETURN_IF_ERROR(ResolveTrainConfig(config));
  const int64_t batch = config.data().batch_size();
  try {
    return Run(std::move(config), options).Go();
  } catch (const OutOfMemory& error) {
    // Not ResourceExhausted, which is a full disk's (base/file.h).
    return absl::FailedPreconditionError(
        absl::StrCat(error.what(), " (data.batch_size is ", batch, "); what was saved is whole"));
  }
}

}  // namespace halftone
