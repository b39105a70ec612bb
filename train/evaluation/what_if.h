// What quantising a trained model would cost, layer by layer, without training.
#ifndef HALFTONE_TRAIN_EVALUATION_WHAT_IF_H_
#define HALFTONE_TRAIN_EVALUATION_WHAT_IF_H_

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "amp/quantization.h"
#include "quant/quantization_error.h"

namespace halftone {

struct WhatIfOptions {
  std::vector<std::string> formats;  // names of quant/quant_format.h
  std::vector<amp::Role> roles = {amp::Role::kWeights, amp::Role::kActivations};
  std::vector<std::string> sets;  // config text merged over the run's: data.root, say
  int64_t batch_size = 0;         // 0: the run's
  // On the training data as it is instead: for choices, which the test split should know nothing of.
  bool training_data = false;
  int64_t limit = 0;        // the first so many images; 0: all
  std::FILE* log = stderr;  // progress
};

// The model with one layer quantised, or all of them.
struct WhatIfRow {
  std::string layer;        // its path; empty: every layer
  int64_t weights = 0;      // how many
  double weight_bytes = 0;  // that these take: QuantizedLayer's
  int64_t examples = 0;
  QuantizationError weight_error, activation_error;  // of what was quantised
  double accuracy = 0;                               // 0 to 1
  double loss = 0;                                   // mean over the examples
};

struct WhatIfFormat {
  std::string format;
  double bits = 0;              // an element
  std::vector<WhatIfRow> rows;  // every layer alone, in the model's order; then all together
};

struct WhatIfReport {
  std::string folder, model, dataset, unit;
  int64_t examples = 0;
  double accuracy = 0, loss = 0;  // in float32
  std::vector<WhatIfFormat> formats;
};

// `folder`: of a run. Each format is taken with its defaults (amp/quantization.h); scales and codebooks that
// would be learned are as they start. The rest of the model is float32. Errors: those of OpenRun
// (train/evaluation/trained_model.h); a format that no table has; no format.
absl::StatusOr<WhatIfReport> AskWhatIf(const std::string& folder, const WhatIfOptions& options);

// A table for each format.
std::string PrintWhatIf(const WhatIfReport& report);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_EVALUATION_WHAT_IF_H_
