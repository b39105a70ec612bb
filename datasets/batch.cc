#include "datasets/batch.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace halftone {

absl::StatusOr<Epochs> CutEpochs(absl::string_view dataset, absl::string_view things, int64_t n,
                                 int64_t batch_size, bool drop_last, LoaderPosition start) {
  if (batch_size < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the batch size is ", batch_size, ", expected at least 1"));
  }
  if (n == 0)
    return absl::InvalidArgumentError(absl::StrCat("data set ", dataset, ": the split has no ", things));
  const bool partial = n % batch_size != 0 && !drop_last;
  const int64_t batches = n / batch_size + partial;
  if (batches == 0) {
    return absl::InvalidArgumentError(absl::StrCat("data set ", dataset, " has ", n, " ", things,
                                                   ", fewer than one batch of ", batch_size,
                                                   ": make the batch smaller or load more ", things));
  }
  if (start.epoch < 0 || start.epoch > UINT32_MAX || start.batch < 0 || start.batch > batches) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot start at epoch ", start.epoch, ", batch ", start.batch, ": an epoch has ", batches,
        " batches of ", batch_size, " here; go on with the data set and batch size of the first run"));
  }
  if (start.batch == batches) start = {start.epoch + 1, 0};
  return Epochs{.batches = batches, .start = start};
}

}  // namespace halftone
