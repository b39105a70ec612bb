#include "train/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "amp/quantization.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "train/build.h"
#include "train/checkpoint/pretrained.h"
#include "train/config.h"
#include "train/open_device.h"
#include "train/trainer.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kNoLayer[] = "(step)";

double Milliseconds(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

// Names of modules and ops come from the program itself: none has to be escaped.
class Collector {
 public:
  explicit Collector(Device& device) : device_(device) {}

  void See(const nn::ProfileEvent& e) {
    const std::string layer = e.module.empty() ? kNoLayer : std::string(e.module);
    Add(by_layer_[layer], e);
    Add(by_op_[std::string(e.op)], e);
    events_.push_back(absl::StrFormat(
        R"({"name":"%s","cat":"%s","ph":"X","pid":1,"tid":1,"ts":%.3f,"dur":%.3f,"args":{"layer":"%s","bytes":%d}})",
        e.op, Phase(e), Microseconds(e.begin), Microseconds(e.end) - Microseconds(e.begin), layer, e.bytes));
    events_.push_back(absl::StrFormat(
        R"({"name":"live MiB","ph":"C","pid":1,"ts":%.3f,"args":{"tensors":%.3f}})", Microseconds(e.end),
        static_cast<double>(device_.allocator().stats().live_bytes) / (1 << 20)));
  }
  // The trace is of the last step alone.
  void BeginStep() {
    start_ = Clock::now();
    events_.clear();
  }

  std::string Trace() const {
    return absl::StrCat("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", absl::StrJoin(events_, ",\n"),
                        "\n]}\n");
  }
  std::vector<ProfileRow> ByLayer(int64_t steps) const { return Rows(by_layer_, steps); }
  std::vector<ProfileRow> ByOp(int64_t steps) const { return Rows(by_op_, steps); }

 private:
  static bool OfStep(const nn::ProfileEvent& e) { return e.module.empty() && !e.backward && e.bytes == 0; }
  static const char* Phase(const nn::ProfileEvent& e) {
    return e.backward ? "backward" : OfStep(e) ? "update" : "forward";
  }
  double Microseconds(Clock::time_point t) const { return 1e3 * Milliseconds(t - start_); }

  static void Add(ProfileRow& row, const nn::ProfileEvent& e) {
    const double ms = Milliseconds(e.end - e.begin);
    (e.backward ? row.backward_ms : OfStep(e) ? row.other_ms : row.forward_ms) += ms;
    if (e.backward || OfStep(e)) return;
    ++row.calls;
    row.forward_bytes += static_cast<double>(e.bytes);
  }

  static std::vector<ProfileRow> Rows(const std::map<std::string, ProfileRow>& sums, int64_t steps) {
    std::vector<ProfileRow> rows;
    const auto n = static_cast<double>(steps);
    for (const auto& [name, sum] : sums) {
      rows.push_back({.name = name,
                      .forward_ms = sum.forward_ms / n,
                      .backward_ms = sum.backward_ms / n,
                      .other_ms = sum.other_ms / n,
                      .calls = sum.calls / steps,
                      .forward_bytes = sum.forward_bytes / n});
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const ProfileRow& a, const ProfileRow& b) { return a.total_ms() > b.total_ms(); });
    return rows;
  }

  Device& device_;
  Clock::time_point start_;
  std::map<std::string, ProfileRow> by_layer_, by_op_;
  std::vector<std::string> events_;
};

std::string Table(absl::string_view title, const std::vector<ProfileRow>& rows, double step_ms, int limit) {
  std::string text = absl::StrFormat("%-36s %8s %10s %10s %10s %8s %12s\n", title, "calls", "forward ms",
                                     "backward ms", "other ms", "share", "results, MiB");
  for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(limit); ++i) {
    const ProfileRow& r = rows[i];
    absl::StrAppendFormat(&text, "%-36s %8d %10.3f %10.3f %10.3f %7.1f%% %12.2f\n", r.name, r.calls,
                          r.forward_ms, r.backward_ms, r.other_ms, 100 * r.total_ms() / step_ms,
                          r.forward_bytes / (1 << 20));
  }
  if (rows.size() > static_cast<size_t>(limit)) {
    absl::StrAppendFormat(&text, "and %d more\n", rows.size() - static_cast<size_t>(limit));
  }
  return text;
}

}  // namespace

absl::StatusOr<StepProfile> ProfileTraining(TrainConfig config, int64_t warmup, int64_t steps) {
  if (warmup < 1 || steps < 1)
    return absl::InvalidArgumentError("expected 1 or more steps, and to warm up as well");
  RETURN_IF_ERROR(ResolveTrainConfig(config));
  SetNumThreads(config.run().threads());
  ASSIGN_OR_RETURN(const std::unique_ptr<Device> opened, OpenDevice(config.run(), /*notes=*/stderr));
  Device& device = *opened;
  ASSIGN_OR_RETURN(const Dataset dataset, LoadConfiguredDataset(config.data()));
  const DataConfig& data = config.data();
  ASSIGN_OR_RETURN(const std::unique_ptr<BatchSource> batches,
                   dataset.TrainBatches(device, {.batch_size = data.batch_size(),
                                                 .augment = data.augment(),
                                                 .bucket_batches = data.bucket_batches(),
                                                 .seed = config.run().seed()}));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Trainer> trainer,
      MakeTrainer(config, dataset, batches->batches_per_epoch() * config.run().epochs(), device));
  if (trainer->quantization().any()) device.SayOnce(amp::EmulationNote(device));
  if (const std::string& weights = config.model().weights(); !weights.empty()) {
    RETURN_IF_ERROR(LoadPretrainedWeights(ResolveInputPath(weights), trainer->model()).status());
  }
  for (int64_t i = 0; i < warmup; ++i) RETURN_IF_ERROR(trainer->Step(batches->Next()).status());

  Collector collector(device);
  trainer->Profile([&](const nn::ProfileEvent& e) { collector.See(e); });
  StepProfile profile = {.steps = steps};
  for (const nn::Parameter* p : trainer->parameters()) profile.parameters += p->shape().elements();
  for (int64_t i = 0; i < steps; ++i) {
    const Clock::time_point asked = Clock::now();
    const Batch batch = batches->Next();
    collector.BeginStep();
    const Clock::time_point start = Clock::now();
    RETURN_IF_ERROR(trainer->Step(batch).status());
    profile.input_ms += Milliseconds(start - asked) / static_cast<double>(steps);
    profile.step_ms += Milliseconds(Clock::now() - start) / static_cast<double>(steps);
  }
  profile.peak_bytes = static_cast<int64_t>(device.allocator().stats().peak_bytes);
  profile.by_layer = collector.ByLayer(steps);
  profile.by_op = collector.ByOp(steps);
  profile.trace = collector.Trace();
  return profile;
}

std::string PrintProfile(const StepProfile& p, int rows) {
  return absl::StrCat(
      absl::StrFormat(
          "%d steps of %.3f ms on average, %.3f ms waiting for each batch; %d parameters, peak %.1f "
          "MiB\n\n",
          p.steps, p.step_ms, p.input_ms, p.parameters, static_cast<double>(p.peak_bytes) / (1 << 20)),
      Table("op", p.by_op, p.step_ms, rows), "\n", Table("layer", p.by_layer, p.step_ms, rows));
}

}  // namespace halftone
