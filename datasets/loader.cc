#include "datasets/loader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "datasets/shuffle.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<DataLoader>> DataLoader::Create(Device& device, const ImageDataset& dataset,
                                                               const ImageSplit& split,
                                                               const DataLoaderOptions& options,
                                                               LoaderPosition start) {
  const int64_t n = split.size();
  HALFTONE_CHECK(static_cast<int64_t>(split.pixels.size()) == n * dataset.image_bytes() && n <= UINT32_MAX);
  HALFTONE_CHECK(std::ssize(dataset.mean) == dataset.channels &&
                 std::ssize(dataset.stddev) == dataset.channels);
  ASSIGN_OR_RETURN(const Epochs epochs,
                   CutEpochs(dataset.name, "images", n, options.batch_size, options.drop_last, start));
  return std::unique_ptr<DataLoader>(
      new DataLoader(device, dataset, split, options, epochs.batches, epochs.start));
}

DataLoader::DataLoader(Device& device, const ImageDataset& dataset, const ImageSplit& split,
                       const DataLoaderOptions& options, int64_t batches_per_epoch, LoaderPosition start)
    : device_(device),
      dataset_(dataset),
      split_(split),
      options_(options),
      batches_per_epoch_(batches_per_epoch),
      position_(start),
      tables_(NormalizationTables(dataset)),
      order_(split.size()),
      next_(Allocate(start)),
      thread_([this, start] { Run(start); }) {}

DataLoader::~DataLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Batch DataLoader::Next() {
  const LoaderPosition after = After(position_);
  // Here and not in the thread, so that the device's peak of memory does not depend on timing.
  Batch batch = Allocate(after);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_; });
    std::swap(batch, next_);
    filled_ = false;
  }
  changed_.notify_all();
  position_ = after;
  return batch;
}

void DataLoader::Run(LoaderPosition at) {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !filled_; });
      if (stop_) return;
    }
    Fill(at, next_);
    at = After(at);
    {
      const std::lock_guard lock(mutex_);
      filled_ = true;
    }
    changed_.notify_all();
  }
}

void DataLoader::Fill(LoaderPosition at, Batch& batch) {
  if (order_epoch_ != at.epoch) {
    if (options_.shuffle) {
      ShuffledOrder(options_.seed, at.epoch, absl::MakeSpan(order_));
    } else {
      std::iota(order_.begin(), order_.end(), 0u);
    }
    order_epoch_ = at.epoch;
  }
  const uint32_t* index = order_.data() + at.batch * options_.batch_size;
  float* image = batch.input.data<float>();
  for (int64_t& label : batch.labels.span<int64_t>()) {
    Augmentation augmentation;
    if (options_.augment) augmentation = DrawAugmentation(options_.seed, at.epoch, *index, dataset_.flip);
    RenderImage(dataset_, split_.pixels.data() + *index * dataset_.image_bytes(), tables_, augmentation,
                image);
    label = split_.labels[*index];
    image += dataset_.image_bytes();
    ++index;
  }
}

Batch DataLoader::Allocate(LoaderPosition at) const {
  const int64_t images = std::min(options_.batch_size, split_.size() - at.batch * options_.batch_size);
  return {.input = Tensor::Empty(device_, DType::kF32,
                                 {images, dataset_.height, dataset_.width, dataset_.channels}),
          .labels = Tensor::Empty(device_, DType::kI64, {images})};
}

LoaderPosition DataLoader::After(LoaderPosition at) const {
  if (at.batch + 1 < batches_per_epoch_) return {at.epoch, at.batch + 1};
  return {at.epoch + 1, 0};
}

}  // namespace halftone
