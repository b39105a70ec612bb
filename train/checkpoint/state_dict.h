// A model's parameters and buffers under PyTorch's names, in and out of safetensors files.
#ifndef HALFTONE_TRAIN_CHECKPOINT_STATE_DICT_H_
#define HALFTONE_TRAIN_CHECKPOINT_STATE_DICT_H_

#include <vector>

#include "absl/status/status.h"
#include "io/array.h"
#include "io/safetensors/safetensors.h"
#include "nn/module.h"

namespace halftone {

// Handles to the master copies and buffers, in the order of Visit.
std::vector<NamedTensor> StateDict(nn::Module& model);

// What a file says of quantisers, and what the model has of its own.
enum class QuantizerState {
  kLoad,
  kLeaveOut,  // neither is looked at: the file may be of another recipe
};

// Overwrites every parameter and buffer with the file's. `file` must hold exactly the model's names with
// their shapes and dtypes; an error names the file and the first tensor that differs, and then the model may
// hold some of the new values.
absl::Status LoadStateDict(const SafetensorsReader& reader, absl::string_view file, nn::Module& model,
                           QuantizerState quantizers = QuantizerState::kLoad);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_CHECKPOINT_STATE_DICT_H_
