// Batches of normalised images for training and evaluation, made by a thread of their own one batch ahead. An
// accelerator with a kernel for it (tensor/ops/images) is given bytes, and crops and normalises them itself.
//
// Which images a batch holds, and how they are augmented, is a pure function of (seed, epoch, batch): a run
// that starts at a checkpoint's position gets the batches that a run from the start would have got.
//
//   ASSIGN_OR_RETURN(auto loader, DataLoader::Create(device, data, data.train,
//                                                    {.batch_size = 128, .shuffle = true, .augment = true,
//                                                     .drop_last = true, .seed = seed}));
//   for (int64_t b = 0; b < loader->batches_per_epoch(); ++b) Step(loader->Next());
#ifndef HALFTONE_DATASETS_LOADER_H_
#define HALFTONE_DATASETS_LOADER_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/augment.h"
#include "datasets/batch.h"
#include "datasets/image_dataset.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace halftone {

struct DataLoaderOptions {
  int64_t batch_size = 128;
  bool shuffle = false;    // a new order every epoch; otherwise the order of the files
  bool augment = false;    // see augment.h
  bool drop_last = false;  // leave out an epoch's last batch when it is smaller than batch_size
  uint64_t seed = 0;       // of shuffling and augmentation
};

// Uses no OpenMP thread: those are the training step's.
class DataLoader : public BatchSource {
 public:
  // split: dataset.train or dataset.test. Both references, and the device, must outlive the loader and are
  // not changed meanwhile. start.batch may be batches_per_epoch(): the next epoch's first batch. Errors: a
  // batch_size below 1, no images, an epoch without a batch (drop_last), a start that does not exist.
  static absl::StatusOr<std::unique_ptr<DataLoader>> Create(Device& device, const ImageDataset& dataset,
                                                            const ImageSplit& split,
                                                            const DataLoaderOptions& options,
                                                            LoaderPosition start = {});
  ~DataLoader() override;  // at any time
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  // Waits for the batch if need be. The memory is the device's where that renders images itself or is the
  // CPU, and else device.host()'s: in a steady state, nothing comes from the system.
  Batch Next() override;

  LoaderPosition position() const override { return position_; }
  int64_t batches_per_epoch() const override { return batches_per_epoch_; }

 private:
  DataLoader(Device& device, const ImageDataset& dataset, const ImageSplit& split,
             const DataLoaderOptions& options, int64_t batches_per_epoch, LoaderPosition start);
  // What the thread makes, in host memory.
  struct Filled {
    Tensor images;  // float32 [B, H, W, C]; for a device that renders them, uint8 [B, C, H, W]
    Tensor crops;   // for such a device: int32 [B, 3]
    Tensor labels;  // int64 [B]
  };

  void Run(LoaderPosition at);
  void Fill(LoaderPosition at, Filled& to);
  Filled Allocate(LoaderPosition at) const;
  LoaderPosition After(LoaderPosition at) const;

  Device& device_;
  const ImageDataset& dataset_;
  const ImageSplit& split_;
  const DataLoaderOptions options_;
  const int64_t batches_per_epoch_;
  LoaderPosition position_;  // the caller's
  const bool renders_;       // the device does
  const Tensor table_;       // [C, 256], of the device if it renders, else of the host

  // The thread's.
  std::vector<uint32_t> order_;  // of order_epoch_
  int64_t order_epoch_ = -1;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool filled_ = false;  // guarded by mutex_
  bool stop_ = false;    // guarded by mutex_
  Filled next_;          // the batch at position_: the thread's until it is filled, then the caller's

  std::thread thread_;  // last: it uses the others
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_LOADER_H_
