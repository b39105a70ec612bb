#include "train/evaluation/allocate_bits.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "quant/allocate.h"
#include "train/evaluation/trained_model.h"
#include "train/evaluation/what_if.h"

namespace halftone {
namespace {

constexpr char kNone[] = "none";
constexpr double kFloat32Bits = 32;

absl::StatusOr<double> BudgetBytes(const AllocateBitsOptions& options, int64_t weights) {
  if ((options.budget_bytes > 0) == (options.budget_bits > 0)) {
    return absl::InvalidArgumentError("expected either --budget_bytes or --budget_bits, above 0");
  }
  return options.budget_bytes > 0 ? options.budget_bytes
                                  : options.budget_bits * static_cast<double>(weights) / 8;
}

}  // namespace

absl::StatusOr<BitAllocation> AllocateBits(const std::string& folder, const AllocateBitsOptions& options) {
  WhatIfOptions questions = {.formats = {},
                             .roles = {amp::Role::kWeights},
                             .sets = options.sets,
                             .training_data = true,
                             .limit = options.limit,
                             .log = options.log};
  const bool may_stay = std::count(options.formats.begin(), options.formats.end(), kNone) > 0;
  std::copy_if(options.formats.begin(), options.formats.end(), std::back_inserter(questions.formats),
               [](const std::string& f) { return f != kNone; });
  ASSIGN_OR_RETURN(const TrainedRun run, OpenRun(folder, options.sets));
  RETURN_IF_ERROR(BudgetBytes(options, 1).status());
  ASSIGN_OR_RETURN(const WhatIfReport report, AskWhatIf(folder, questions));

  BitAllocation allocation = {.reference_loss = report.loss, .config = run.config};
  std::vector<std::vector<FormatChoice>> choices;
  std::vector<size_t> rows;  // of the report, for each of the choices
  const std::vector<WhatIfRow>& layers = report.formats.front().rows;
  int64_t weights = 0;
  for (size_t i = 0; i + 1 < layers.size(); ++i) {  // the last one is of all layers
    if (layers[i].weights == 0) continue;
    std::vector<FormatChoice>& of_layer = choices.emplace_back();
    for (const WhatIfFormat& f : report.formats) {
      of_layer.push_back({.cost = f.rows[i].loss - report.loss, .bytes = f.rows[i].weight_bytes});
    }
    if (may_stay)
      of_layer.push_back({.cost = 0, .bytes = static_cast<double>(layers[i].weights) * kFloat32Bits / 8});
    rows.push_back(i);
    weights += layers[i].weights;
  }
  ASSIGN_OR_RETURN(allocation.budget_bytes, BudgetBytes(options, weights));
  ASSIGN_OR_RETURN(const std::vector<size_t> chosen, AllocateFormats(choices, allocation.budget_bytes));

  allocation.float32_bytes = static_cast<double>(weights) * kFloat32Bits / 8;
  allocation.config.mutable_model()->set_weights(run.checkpoint + "/model.safetensors");
  allocation.config.mutable_precision()->set_recipe("fp32");
  allocation.config.mutable_precision()->clear_quantize();
  for (size_t l = 0; l < chosen.size(); ++l) {
    const FormatChoice& choice = choices[l][chosen[l]];
    const WhatIfRow& row = layers[rows[l]];
    const std::string format = chosen[l] < report.formats.size() ? report.formats[chosen[l]].format : kNone;
    allocation.layers.push_back({.path = row.layer,
                                 .format = format,
                                 .weights = row.weights,
                                 .bytes = choice.bytes,
                                 .loss = choice.cost});
    allocation.bytes += choice.bytes;
    allocation.predicted_loss += choice.cost;
    if (format == kNone) continue;
    QuantizeConfig* quantize = allocation.config.mutable_precision()->add_quantize();
    quantize->set_path(row.layer);
    quantize->add_role(QuantizeConfig::WEIGHTS);
    quantize->set_format(format);
  }
  return allocation;
}

std::string PrintAllocation(const BitAllocation& a) {
  std::string text = absl::StrFormat("%-32s %12s %-16s %8s %12s %14s\n", "layer", "weights", "format", "bits",
                                     "bytes", "loss it adds");
  int64_t weights = 0;
  for (const AllocatedLayer& layer : a.layers) {
    weights += layer.weights;
    absl::StrAppendFormat(&text, "%-32s %12d %-16s %8.4g %12.0f %14.5f\n", layer.path, layer.weights,
                          layer.format, 8 * layer.bytes / static_cast<double>(layer.weights), layer.bytes,
                          layer.loss);
  }
  absl::StrAppendFormat(&text, "%-32s %12d %-16s %8.4g %12.0f %14.5f\n", "all", weights, "",
                        8 * a.bytes / static_cast<double>(std::max<int64_t>(1, weights)), a.bytes,
                        a.predicted_loss);
  absl::StrAppendFormat(&text,
                        "budget %.0f bytes; float32 takes %.0f. The loss in float32 is %.5f; formats are "
                        "emulated\n",
                        a.budget_bytes, a.float32_bytes, a.reference_loss);
  return text;
}

}  // namespace halftone
