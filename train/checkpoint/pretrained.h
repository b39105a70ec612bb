// Weights that somebody else has trained, as a start: by name, and as much of them as the model has.
#ifndef HALFTONE_TRAIN_CHECKPOINT_PRETRAINED_H_
#define HALFTONE_TRAIN_CHECKPOINT_PRETRAINED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nn/module.h"

namespace halftone {

struct PretrainedReport {
  int64_t loaded = 0;  // tensors
  double share = 0;    // of the model's floating-point numbers that they are, 0 to 1
  // How the file's names become the model's: without the one part, then with the other ("bert.") in front.
  std::string stripped, added;
  std::vector<std::string> missing;      // the model's names that the file has not; they start as ever
  std::vector<std::string> other_shape;  // in both, but of other shapes, in words; likewise
  std::vector<std::string> unexpected;   // the file's names that the model has not

  // For a log; file: as the user named it.
  std::vector<std::string> Lines(absl::string_view file) const;
};

// Reads a file of any format of io/open_array_file.h into the (initialised) model's parameters and buffers of
// the same names and shapes, numbers of other types rounded to nearest even. Names match as they are, or
// without their first part, or with one of the model's own first parts in front, whichever way the most of
// them do: Hugging Face's BertModel lacks our "bert.", a checkpoint of DataParallel has a "module." more.
// Errors, one line: no such file or a damaged one, after which the model may hold some of its values; less
// than a tenth of the model's numbers in it, which is another architecture and leaves the model as it was.
absl::StatusOr<PretrainedReport> LoadPretrainedWeights(const std::string& path, nn::Module& model);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_CHECKPOINT_PRETRAINED_H_
