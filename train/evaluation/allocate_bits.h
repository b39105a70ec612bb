// A format for each layer's weights under a budget: measured one by one, then chosen.
#ifndef HALFTONE_TRAIN_EVALUATION_ALLOCATE_BITS_H_
#define HALFTONE_TRAIN_EVALUATION_ALLOCATE_BITS_H_

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "train/proto/train_config.pb.h"

namespace halftone {

struct AllocateBitsOptions {
  std::vector<std::string> formats;  // to choose from; "none" is float32
  double budget_bytes = 0;           // of all weights that can be quantised; or
  double budget_bits = 0;            // a weight, on average. One of the two is above 0
  std::vector<std::string> sets;     // config text merged over the run's
  int64_t limit = 0;                 // training examples to measure on; 0: all
  std::FILE* log = stderr;
};

struct AllocatedLayer {
  std::string path, format;
  int64_t weights = 0;
  double bytes = 0;
  double loss = 0;  // added by quantising this layer alone
};

struct BitAllocation {
  std::vector<AllocatedLayer> layers;
  double bytes = 0, float32_bytes = 0, budget_bytes = 0;
  double predicted_loss = 0;  // the sum of what the layers add
  double reference_loss = 0;  // in float32, on the same examples
  TrainConfig config;         // the run's, in fp32, from its weights, with a quantize for each layer
};

// `folder`: of a run. The loss is measured on training examples, with the weights of one layer quantised at a
// time and not trained on. Errors: those of AskWhatIf (train/evaluation/what_if.h); a budget that is too
// small.
absl::StatusOr<BitAllocation> AllocateBits(const std::string& folder, const AllocateBitsOptions& options);

// A table of the layers.
std::string PrintAllocation(const BitAllocation& allocation);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_EVALUATION_ALLOCATE_BITS_H_
