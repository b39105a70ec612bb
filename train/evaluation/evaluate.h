// A checkpoint on its data set's test split, without training: in one recipe, or in several side by side.
#ifndef HALFTONE_TRAIN_EVALUATION_EVALUATE_H_
#define HALFTONE_TRAIN_EVALUATION_EVALUATE_H_

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace halftone {

struct EvaluateOptions {
  std::vector<std::string> recipes;  // by name or alias; none: the one that the config names
  std::vector<std::string> sets;     // config text merged over the run's, as for training: data.root, say
  int64_t batch_size = 0;            // 1 to 65536; 0: the run's
  int64_t limit = 0;                 // the first so many test images; 0: all
  std::FILE* log = stderr;           // progress
};

// Times are those of the forward pass to the logits, over whole batches after a warm-up. Bytes are what the
// allocator was asked for; a library's own memory is not among them.
struct RecipeEvaluation {
  std::string recipe;
  double loss = 0;      // mean over the examples, of cross entropy without label smoothing
  double accuracy = 0;  // 0 to 1
  double median_seconds = 0;
  double p95_seconds = 0;
  double images_per_second = 0;
  int64_t weight_bytes = 0;      // parameters, their working copies in another precision, and buffers
  int64_t activation_bytes = 0;  // at most in a forward pass, beside the weights and the batch
  int64_t peak_bytes = 0;        // everything
  // Against the first recipe of the report. A logit that is not finite in one of them alone, or is NaN, makes
  // the difference infinite.
  double max_logit_difference = 0;
  int64_t different_predictions = 0;
  std::vector<std::string> notes;  // what the device had to say, a line each
};

struct EvaluationReport {
  std::string folder, model, dataset;
  std::string unit = "images";  // or "sentences": what the counts are of
  std::string trained_in;       // the recipe
  int64_t step = 0;             // training steps done
  int64_t images = 0;
  int64_t batch_size = 0;
  int threads = 0;
  std::vector<RecipeEvaluation> recipes;  // in the order asked for
};

// `folder`: a run's (its run.out) or its checkpoint's. Any checkpoint goes with any recipe: the weights are
// cast once. Each batch goes through all recipes in turn, so that other load on the machine meets them alike.
// precision.override of the config holds in every recipe. Errors are one line: no such folder or checkpoint,
// an unknown recipe (lists the valid ones), data that is not there, a checkpoint of another model.
absl::StatusOr<EvaluationReport> EvaluateCheckpoint(const std::string& folder,
                                                    const EvaluateOptions& options);

// A table with a column for each recipe.
std::string PrintEvaluation(const EvaluationReport& report);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_EVALUATION_EVALUATE_H_
