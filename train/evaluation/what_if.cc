#include "train/evaluation/what_if.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "amp/recipe.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "nn/functional.h"
#include "quant/quant_format.h"
#include "train/evaluation/trained_model.h"
#include "train/open_device.h"
#include "train/records/progress.h"

namespace halftone {
namespace {

// Lets the quantisers of all layers add up what they do; null: nothing any more.
class Observer : public nn::Visitor {
 public:
  Observer(QuantizationError* weights, QuantizationError* activations)
      : weights_(weights), activations_(activations) {}

 private:
  void OnModule(const std::string&, nn::Module& module) override {
    auto* layer = dynamic_cast<nn::Quantizable*>(&module);
    if (layer == nullptr) return;
    if (layer->quantizers().weight.has_value()) layer->quantizers().weight->Observe(weights_);
    if (layer->quantizers().input.has_value()) layer->quantizers().input->Observe(activations_);
  }

  QuantizationError* weights_;
  QuantizationError* activations_;
};

// Rows of a network whose layers are quantised by `rules`.
class Measurement {
 public:
  Measurement(const TrainedRun& run, const Dataset& dataset, const WhatIfOptions& options)
      : run_(run),
        dataset_(dataset),
        options_(options),
        batch_size_(options.batch_size > 0 ? options.batch_size : run.config.data().batch_size()) {}

  absl::StatusOr<WhatIfRow> Measure(const std::vector<amp::QuantizationRule>& rules) const {
    ASSIGN_OR_RETURN(const std::unique_ptr<Device> opened, OpenDevice(run_.config.run(), /*notes=*/nullptr));
    Device& device = *opened;
    ASSIGN_OR_RETURN(const amp::Recipe fp32, amp::FindRecipe("fp32"));
    ASSIGN_OR_RETURN(const TrainedModel trained, LoadModel(run_, fp32, dataset_, device, rules));
    WhatIfRow row;
    for (const amp::QuantizedLayer& layer : trained.quantization.layers) {
      if (layer.formats[static_cast<size_t>(amp::Role::kWeights)].empty()) continue;
      row.weights += layer.weights;
      row.weight_bytes += layer.weight_bytes;
    }
    Observer observer(&row.weight_error, &row.activation_error);
    trained.model->Visit(observer);
    ASSIGN_OR_RETURN(const std::unique_ptr<BatchSource> batches, Batches(device));
    int64_t examples = 0, correct = 0;
    for (int64_t b = 0; b < batches->batches_per_epoch(); ++b) {
      if (options_.training_data && options_.limit > 0 && examples >= options_.limit) break;
      const Batch batch = batches->Next();
      nn::Graph graph({.device = &device, .policy = &trained.policies.whole, .gradients = false});
      const nn::Variable logits = trained.model->Forward(graph.Input(batch.input.To(device)));
      const Tensor labels = batch.labels.To(device);
      const int64_t n = labels.elements();
      row.loss += nn::ClassificationLoss(logits, labels).Item() * static_cast<double>(n);
      correct += *nn::CountCorrect(logits.value(), labels).data<int64_t>();
      examples += n;
      // The weights are the same in every batch.
      Observer activations(nullptr, &row.activation_error);
      if (b == 0) trained.model->Visit(activations);
    }
    RETURN_IF_ERROR(device.status());
    row.examples = examples;
    row.loss /= static_cast<double>(examples);
    row.accuracy = static_cast<double>(correct) / static_cast<double>(examples);
    return row;
  }

  // The layers, and how many weights each has.
  absl::StatusOr<std::vector<amp::QuantizedLayer>> Layers() const {
    ASSIGN_OR_RETURN(const std::unique_ptr<nn::Module> model, MakeConfiguredModel(run_.config, dataset_));
    ASSIGN_OR_RETURN(amp::QuantizationSummary summary, amp::Quantize({}, *model));
    return std::move(summary.layers);
  }

 private:
  absl::StatusOr<std::unique_ptr<BatchSource>> Batches(Device& device) const {
    if (!options_.training_data) return dataset_.TestBatches(device, batch_size_);
    return dataset_.TrainBatches(device, {.batch_size = batch_size_, .seed = run_.config.run().seed()});
  }

  const TrainedRun& run_;
  const Dataset& dataset_;
  const WhatIfOptions& options_;
  const int64_t batch_size_;
};

}  // namespace

absl::StatusOr<WhatIfReport> AskWhatIf(const std::string& folder, const WhatIfOptions& options) {
  RETURN_IF_ERROR(CheckLimits(options.batch_size, options.limit));
  if (options.formats.empty()) return absl::InvalidArgumentError("no format given; expected one or more");
  std::vector<QuantFormat> formats;
  for (const std::string& name : options.formats) {
    ASSIGN_OR_RETURN(const QuantFormat format, FindQuantFormat(name));
    formats.push_back(format);
  }
  ASSIGN_OR_RETURN(const TrainedRun run, OpenRun(folder, options.sets));
  SetNumThreads(run.config.run().threads());
  ASSIGN_OR_RETURN(const Dataset dataset, run.LoadData(options.training_data ? 0 : options.limit));
  const Measurement measurement(run, dataset, options);
  ASSIGN_OR_RETURN(const std::vector<amp::QuantizedLayer> layers, measurement.Layers());
  ASSIGN_OR_RETURN(const WhatIfRow reference, measurement.Measure({}));
  WhatIfReport report = {.folder = folder,
                         .model = run.config.model().name(),
                         .dataset = dataset.name(),
                         .unit = std::string(dataset.unit()),
                         .examples = reference.examples,
                         .accuracy = reference.accuracy,
                         .loss = reference.loss,
                         .formats = {}};
  Progress progress(options.log);
  const auto start = std::chrono::steady_clock::now();
  const size_t total = formats.size() * (layers.size() + 1);
  size_t done = 0;
  for (const QuantFormat& format : formats) {
    const std::string name(NameOf(format));
    WhatIfFormat& measured = report.formats.emplace_back();
    measured.format = name;
    measured.bits = BitsPerElement(format);
    for (size_t i = 0; i <= layers.size(); ++i) {
      const std::string path = i < layers.size() ? layers[i].path : "";
      ASSIGN_OR_RETURN(WhatIfRow row, measurement.Measure({{.path = path.empty() ? "*" : path,
                                                            .roles = options.roles,
                                                            .format = name,
                                                            .alone = !path.empty()}}));
      row.layer = path;
      measured.rows.push_back(std::move(row));
      ++done;
      progress.Update([&] {
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return absl::StrFormat(
            "%s %s: %d of %d  %s left", name, path.empty() ? "all layers" : path, done, total,
            HumanSeconds(seconds / static_cast<double>(done) * static_cast<double>(total - done)));
      });
    }
  }
  return report;
}

std::string PrintWhatIf(const WhatIfReport& report) {
  std::string text = absl::StrFormat("%s: %s on %d %s of %s; float32: accuracy %.2f%%, loss %.4f\n",
                                     report.folder, report.model, report.examples, report.unit,
                                     report.dataset, 100 * report.accuracy, report.loss);
  const auto share = [](const QuantizationError& e) {
    return e.elements == 0 ? std::string("-") : absl::StrFormat("%.2f", 100 * e.underflow_share());
  };
  const auto sqnr = [](const QuantizationError& e) {
    return e.elements == 0           ? std::string("-")
           : std::isinf(e.sqnr_db()) ? std::string("exact")
                                     : absl::StrFormat("%.1f", e.sqnr_db());
  };
  for (const WhatIfFormat& format : report.formats) {
    absl::StrAppendFormat(&text, "\n%s, %.4g bits an element, emulated\n", format.format, format.bits);
    absl::StrAppendFormat(&text, "%-32s %10s %12s %12s %12s %12s %10s %8s\n", "layer quantised", "weights",
                          "SQNR, dB", "underflow, %", "input SQNR", "underflow, %", "accuracy", "change");
    for (const WhatIfRow& row : format.rows) {
      absl::StrAppendFormat(&text, "%-32s %10d %12s %12s %12s %12s %9.2f%% %+8.2f\n",
                            row.layer.empty() ? "all" : row.layer, row.weights, sqnr(row.weight_error),
                            share(row.weight_error), sqnr(row.activation_error), share(row.activation_error),
                            100 * row.accuracy, 100 * (row.accuracy - report.accuracy));
    }
  }
  return text;
}

}  // namespace halftone
