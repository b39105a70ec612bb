#include "datasets/loader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"
#include "datasets/shuffle.h"
#include "tensor/ops/images/images.h"
#include "tensor/ops/images/images_kernels.h"

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
      renders_(device.Kernels<ops::ImagesKernels>() != nullptr),
      table_(Tensor::From<float>(renders_ ? device : device.host(), {dataset.channels, ops::kPixelValues},
                                 NormalizationTable(dataset))),
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
  Filled filled = Allocate(after);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_; });
    std::swap(filled, next_);
    filled_ = false;
  }
  changed_.notify_all();
  position_ = after;
  if (!renders_) return {.input = filled.images, .labels = filled.labels};
  return {.input = ops::RenderImages(filled.images.To(device_), filled.crops.To(device_), table_),
          .labels = filled.labels.To(device_)};
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

void DataLoader::Fill(LoaderPosition at, Filled& to) {
  if (order_epoch_ != at.epoch) {
    if (options_.shuffle) {
      ShuffledOrder(options_.seed, at.epoch, absl::MakeSpan(order_));
    } else {
      std::iota(order_.begin(), order_.end(), 0u);
    }
    order_epoch_ = at.epoch;
  }
  const uint32_t* const order = order_.data() + at.batch * options_.batch_size;
  const int64_t bytes = dataset_.image_bytes();
  for (int64_t i = 0; i < to.labels.elements(); ++i) {
    const uint32_t index = order[i];
    ops::ImageCrop crop;
    if (options_.augment) crop = DrawAugmentation(options_.seed, at.epoch, index, dataset_.flip);
    const uint8_t* const image = split_.pixels.data() + index * bytes;
    if (renders_) {
      std::copy_n(image, bytes, to.images.data<uint8_t>() + i * bytes);
      int32_t* const numbers = to.crops.data<int32_t>() + 3 * i;
      numbers[0] = crop.row, numbers[1] = crop.column, numbers[2] = crop.mirror ? 1 : 0;
    } else {
      ops::RenderImage(SizeOfImages(dataset_), image, table_.data<float>(), crop,
                       to.images.data<float>() + i * bytes);
    }
    to.labels.data<int64_t>()[i] = split_.labels[index];
  }
}

DataLoader::Filled DataLoader::Allocate(LoaderPosition at) const {
  const int64_t images = std::min(options_.batch_size, split_.size() - at.batch * options_.batch_size);
  const int64_t channels = dataset_.channels, height = dataset_.height, width = dataset_.width;
  Device& host = device_.host();
  const Tensor labels = Tensor::Empty(host, DType::kI64, {images});
  if (!renders_) {
    return {.images = Tensor::Empty(host, DType::kF32, {images, height, width, channels}), .labels = labels};
  }
  return {.images = Tensor::Empty(host, DType::kU8, {images, channels, height, width}),
          .crops = Tensor::Empty(host, DType::kI32, {images, 3}),
          .labels = labels};
}

LoaderPosition DataLoader::After(LoaderPosition at) const {
  if (at.batch + 1 < batches_per_epoch_) return {at.epoch, at.batch + 1};
  return {at.epoch + 1, 0};
}

}  // namespace halftone
