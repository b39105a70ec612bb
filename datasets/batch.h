// What a data set gives to a training step, one batch after the other.
#ifndef HALFTONE_DATASETS_BATCH_H_
#define HALFTONE_DATASETS_BATCH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tensor/tensor.h"

namespace halftone {

struct Batch {
  // Images: float32 [B, H, W, C], (pixel / 255 - mean) / stddev. Texts: int64 [B, 3, S], the planes of
  // PadRows (datasets/text/text_batch.h).
  Tensor input;
  Tensor labels;  // int64 [B]
};

// A place in the endless sequence of batches.
struct LoaderPosition {
  int64_t epoch = 0;
  int64_t batch = 0;  // within the epoch

  friend bool operator==(const LoaderPosition&, const LoaderPosition&) = default;
};

// How an epoch is cut.
struct Epochs {
  int64_t batches = 0;   // of an epoch
  LoaderPosition start;  // of the first batch: `batch` is below `batches`
};

// Of n `things` ("images") of a data set. start.batch may be the number of batches: the next epoch's first.
// Errors: a batch_size below 1, nothing, an epoch without a batch (drop_last), a start that does not exist.
absl::StatusOr<Epochs> CutEpochs(absl::string_view dataset, absl::string_view things, int64_t n,
                                 int64_t batch_size, bool drop_last, LoaderPosition start);

// Whatever batches come from: DataLoader for images, TextLoader for sentences. Which examples a batch holds
// is a pure function of its position. For one calling thread.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // The batch at position(), and moves on: after an epoch's last batch comes the next epoch's first.
  virtual Batch Next() = 0;

  // Of the batch that Next() will return: what a checkpoint keeps.
  virtual LoaderPosition position() const = 0;
  virtual int64_t batches_per_epoch() const = 0;

  // What a log should say of the batches, if anything: a line.
  virtual std::string About() const { return ""; }
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_BATCH_H_
