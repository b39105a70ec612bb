// Batches of tokenized sentences for training and evaluation.
//
// Which sentences a batch holds is a pure function of (seed, epoch, batch): a run that starts at a
// checkpoint's position gets the batches that a run from the start would have got.
//
// A batch is as long as its longest sentence. Bucketing puts sentences of like length together, so that less
// of it is padding: an epoch's shuffled order is cut into windows of `bucket_batches` batches, each window is
// sorted by length and cut into batches, and the epoch's batches are shuffled. So each sentence still comes
// once an epoch, in company that changes.
//
//   ASSIGN_OR_RETURN(auto loader, TextLoader::Create(device, data, data.train,
//                                                    {.batch_size = 32, .shuffle = true,
//                                                     .bucket_batches = 50, .seed = seed}));
//   for (int64_t b = 0; b < loader->batches_per_epoch(); ++b) Step(loader->Next());
#ifndef HALFTONE_DATASETS_TEXT_TEXT_LOADER_H_
#define HALFTONE_DATASETS_TEXT_TEXT_LOADER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datasets/batch.h"
#include "datasets/text/text_dataset.h"
#include "tensor/device.h"

namespace halftone {

struct TextLoaderOptions {
  int64_t batch_size = 32;
  bool shuffle = false;         // a new order every epoch; otherwise the order of the file
  bool drop_last = false;       // leave out an epoch's last batch when it is smaller than batch_size
  int64_t bucket_batches = 1;   // batches a window of bucketing; 1: none
  int64_t length_multiple = 1;  // pads on to a multiple of this (at most 4096): fewer shapes, more padding
  uint64_t seed = 0;            // of shuffling
};

// Has no thread of its own: a batch takes microseconds.
class TextLoader : public BatchSource {
 public:
  // split: dataset.train or dataset.test. Both references, and the device, must outlive the loader and are
  // not changed meanwhile. start.batch may be batches_per_epoch(): the next epoch's first batch. Errors: a
  // batch_size, bucket_batches or length_multiple out of range, no sentences, an epoch without a batch
  // (drop_last), a start that does not exist.
  static absl::StatusOr<std::unique_ptr<TextLoader>> Create(Device& device, const TextDataset& dataset,
                                                            const TextSplit& split,
                                                            const TextLoaderOptions& options,
                                                            LoaderPosition start = {});

  Batch Next() override;

  LoaderPosition position() const override { return position_; }
  int64_t batches_per_epoch() const override { return batches_per_epoch_; }

  // How many sentences were cut, and PaddingShare.
  std::string About() const override;

  // How much of the batches of position()'s epoch is padding: in [0, 1).
  double PaddingShare() const;

 private:
  TextLoader(Device& device, const TextDataset& dataset, const TextSplit& split,
             const TextLoaderOptions& options, int64_t batches_per_epoch, LoaderPosition start);
  void OrderEpoch();
  // The sentences of a batch of position()'s epoch.
  absl::Span<const uint32_t> Sentences(int64_t batch) const;
  int64_t Length(absl::Span<const uint32_t> sentences) const;

  Device& device_;
  const TextDataset& dataset_;
  const TextSplit& split_;
  const TextLoaderOptions options_;
  const int64_t batches_per_epoch_;
  LoaderPosition position_;
  std::vector<uint32_t> order_;    // of the epoch's sentences: batch after batch ...
  std::vector<uint32_t> batches_;  // ... and of its batches
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_TEXT_LOADER_H_
