#include "train/evaluation/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "amp/recipe.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "datasets/dataset.h"
#include "nn/functional.h"
#include "tensor/ops/cast/cast.h"
#include "train/evaluation/trained_model.h"
#include "train/open_device.h"
#include "train/records/progress.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUps = 2;  // the first pass makes oneDNN's primitives and the working copies of the weights

// The first of the largest logits, or where there is one, whether it is above 0; -1 where one is NaN.
int64_t Prediction(const float* logits, int64_t classes) {
  if (std::any_of(logits, logits + classes, [](float x) { return std::isnan(x); })) return -1;
  if (classes == 1) return *logits > 0;
  return std::max_element(logits, logits + classes) - logits;
}

struct BatchResult {
  std::vector<float> logits;  // [images, classes]
  double loss = 0;            // mean over the batch
  int64_t correct = 0;
};

// The model in one recipe, on a device of its own: what that counts is this recipe's alone.
class Candidate {
 public:
  static absl::StatusOr<std::unique_ptr<Candidate>> Create(const TrainedRun& run, const amp::Recipe& recipe,
                                                           const Dataset& dataset) {
    std::unique_ptr<Candidate> made(new Candidate(recipe));
    ASSIGN_OR_RETURN(made->device_, OpenDevice(run.config.run(), /*notes=*/nullptr));
    ASSIGN_OR_RETURN(made->trained_, LoadModel(run, recipe, dataset, *made->device_));
    return made;
  }

  void WarmUp(const Batch& batch) {
    for (int i = 0; i < kWarmUps; ++i) Run(batch, /*counts=*/false);
    // Where the working copies were made, not what a pass takes.
    result_.activation_bytes = result_.peak_bytes = 0;
    result_.weight_bytes = device_->allocator().stats().live_bytes;
  }

  // counts: whether its time does.
  BatchResult Run(const Batch& from, bool counts) {
    // The loader's batch lies on another device.
    const Tensor input = from.input.To(*device_);
    device_->Synchronize();
    const int64_t before = device_->allocator().stats().live_bytes;
    device_->allocator().ResetPeak();
    const Clock::time_point start = Clock::now();
    nn::Graph graph({.device = device_.get(),
                     .policy = &trained_.policies.whole,
                     .overrides = trained_.policies.parts,
                     .gradients = false});
    const nn::Variable logits = trained_.model->Forward(graph.Input(input));
    device_->Synchronize();
    if (counts) seconds_.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    const int64_t peak = device_->allocator().stats().peak_bytes;
    result_.activation_bytes = std::max(result_.activation_bytes, peak - before);
    result_.peak_bytes = std::max(result_.peak_bytes, peak);
    const Tensor labels = from.labels.To(*device_);
    const Tensor floats = ops::Cast(logits.value(), DType::kF32);
    return {.logits = {floats.span<float>().begin(), floats.span<float>().end()},
            .loss = nn::ClassificationLoss(logits, labels).Item(),
            .correct = *nn::CountCorrect(logits.value(), labels).data<int64_t>()};
  }

  void Add(const BatchResult& result, const BatchResult& reference, int64_t images) {
    loss_sum_ += result.loss * static_cast<double>(images);
    correct_ += result.correct;
    images_ += images;
    const auto classes = static_cast<int64_t>(result.logits.size()) / images;
    for (int64_t i = 0; i < images; ++i) {
      const float* a = result.logits.data() + i * classes;
      const float* b = reference.logits.data() + i * classes;
      for (int64_t c = 0; c < classes; ++c) AddDifference(a[c], b[c]);
      if (Prediction(a, classes) != Prediction(b, classes)) ++result_.different_predictions;
    }
  }

  absl::Status status() const { return device_->status(); }
  double accuracy() const { return static_cast<double>(correct_) / static_cast<double>(images_); }

  RecipeEvaluation Result(int64_t batch_size) {
    result_.loss = loss_sum_ / static_cast<double>(images_);
    result_.accuracy = accuracy();
    result_.notes = device_->Said();
    std::sort(seconds_.begin(), seconds_.end());
    const size_t n = seconds_.size();
    result_.median_seconds = (seconds_[(n - 1) / 2] + seconds_[n / 2]) / 2;
    result_.p95_seconds = seconds_[(95 * n + 99) / 100 - 1];  // the smallest that 95% do not exceed
    result_.images_per_second = static_cast<double>(batch_size) * static_cast<double>(n) /
                                std::accumulate(seconds_.begin(), seconds_.end(), 0.0);
    return result_;
  }

 private:
  explicit Candidate(const amp::Recipe& recipe) { result_.recipe = std::string(recipe.name); }

  void AddDifference(double a, double b) {
    if (a == b) return;  // infinities too
    const double difference = std::abs(a - b);
    result_.max_logit_difference =
        std::max(result_.max_logit_difference,
                 std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference);
  }

  std::unique_ptr<Device> device_;  // outlives the model
  TrainedModel trained_;
  std::vector<double> seconds_;  // of each batch that counts
  double loss_sum_ = 0;
  int64_t correct_ = 0, images_ = 0;
  RecipeEvaluation result_;
};

absl::StatusOr<std::vector<amp::Recipe>> FindRecipes(const std::vector<std::string>& names) {
  std::vector<amp::Recipe> recipes;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const amp::Recipe recipe, amp::FindRecipe(name));
    recipes.push_back(recipe);
  }
  return recipes;
}

absl::Status CheckOptions(const EvaluateOptions& options) {
  RETURN_IF_ERROR(CheckLimits(options.batch_size, options.limit));
  return FindRecipes(options.recipes).status();
}

absl::Status EvaluateAll(const Dataset& dataset, int64_t batch_size,
                         const std::vector<std::unique_ptr<Candidate>>& candidates, std::FILE* log) {
  Device loaders(/*notes=*/nullptr);
  ASSIGN_OR_RETURN(const std::unique_ptr<BatchSource> batches, dataset.TestBatches(loaders, batch_size));
  Progress progress(log);
  int64_t done = 0;
  for (int64_t b = 0; b < batches->batches_per_epoch(); ++b) {
    const Batch batch = batches->Next();
    if (b == 0) {
      for (const auto& candidate : candidates) candidate->WarmUp(batch);
    }
    const int64_t images = batch.labels.elements();
    BatchResult reference;
    for (const auto& candidate : candidates) {
      const BatchResult result = candidate->Run(batch, /*counts=*/images == batch_size);
      if (candidate == candidates.front()) reference = result;
      candidate->Add(result, reference, images);
    }
    done += images;
    progress.Update([&] {
      return absl::StrFormat("%d of %d %s  acc %.2f%%", done, dataset.test_size(), dataset.unit(),
                             100 * candidates.front()->accuracy());
    });
  }
  for (const auto& candidate : candidates) RETURN_IF_ERROR(candidate->status());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EvaluationReport> EvaluateCheckpoint(const std::string& folder,
                                                    const EvaluateOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const TrainedRun run, OpenRun(folder, options.sets));
  const TrainConfig& config = run.config;
  ASSIGN_OR_RETURN(
      const std::vector<amp::Recipe> recipes,
      FindRecipes(options.recipes.empty() ? std::vector{config.precision().recipe()} : options.recipes));
  SetNumThreads(config.run().threads());
  ASSIGN_OR_RETURN(const Dataset dataset, run.LoadData(options.limit));
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (const amp::Recipe& recipe : recipes) {
    ASSIGN_OR_RETURN(std::unique_ptr<Candidate> candidate, Candidate::Create(run, recipe, dataset));
    candidates.push_back(std::move(candidate));
  }
  EvaluationReport report = {
      .folder = folder,
      .model = config.model().name(),
      .dataset = dataset.name(),
      .unit = std::string(dataset.unit()),
      .trained_in = std::string(run.trained_in.name),
      .step = run.state.step(),
      .images = dataset.test_size(),
      .batch_size = std::min(options.batch_size > 0 ? options.batch_size : config.data().batch_size(),
                             dataset.test_size()),
      .threads = NumThreads(),
      .recipes = {}};
  RETURN_IF_ERROR(EvaluateAll(dataset, report.batch_size, candidates, options.log));
  for (const auto& candidate : candidates) report.recipes.push_back(candidate->Result(report.batch_size));
  return report;
}

std::string PrintEvaluation(const EvaluationReport& report) {
  std::string text =
      absl::StrFormat("%s: %s after step %d in %s; %d test %s of %s, batches of %d, %d threads\n",
                      report.folder, report.model, report.step, report.trained_in, report.images, report.unit,
                      report.dataset, report.batch_size, report.threads);
  const auto row = [&](absl::string_view name, auto cell) {
    absl::StrAppendFormat(&text, "%-36s", name);
    for (const RecipeEvaluation& r : report.recipes) absl::StrAppendFormat(&text, " %12s", cell(r));
    text += '\n';
  };
  const auto mebibytes = [](int64_t bytes) {
    return absl::StrFormat("%.2f", static_cast<double>(bytes) / (1 << 20));
  };
  using Row = const RecipeEvaluation&;
  row("", [](Row r) { return r.recipe; });
  row("accuracy, %", [](Row r) { return absl::StrFormat("%.2f", 100 * r.accuracy); });
  row("loss", [](Row r) { return absl::StrFormat("%.4f", r.loss); });
  row("forward pass of a batch, median, ms",
      [](Row r) { return absl::StrFormat("%.3f", 1e3 * r.median_seconds); });
  row("forward pass of a batch, p95, ms", [](Row r) { return absl::StrFormat("%.3f", 1e3 * r.p95_seconds); });
  row(absl::StrCat(report.unit, "/s"), [](Row r) { return absl::StrFormat("%.0f", r.images_per_second); });
  row("weights, MiB", [&](Row r) { return mebibytes(r.weight_bytes); });
  row("activations, at most, MiB", [&](Row r) { return mebibytes(r.activation_bytes); });
  row("peak, MiB", [&](Row r) { return mebibytes(r.peak_bytes); });
  if (report.recipes.size() > 1) {
    const std::string& first = report.recipes.front().recipe;
    row(absl::StrCat("logits differ from ", first, "'s by"),
        [](Row r) { return absl::StrFormat("%.3g", r.max_logit_difference); });
    row("predictions that differ", [](Row r) { return absl::StrCat(r.different_predictions); });
  }
  for (const RecipeEvaluation& r : report.recipes) {
    for (const std::string& note : r.notes) absl::StrAppend(&text, "note: ", r.recipe, ": ", note, "\n");
  }
  return text;
}

}  // namespace halftone
