#include "datasets/augment.h"

#include "base/philox.h"

namespace halftone {

ops::ImageCrop DrawAugmentation(uint64_t seed, int64_t epoch, uint32_t index, bool may_flip) {
  // One block of four numbers an image, so no two images share a number.
  const Rng rng = Rng(seed).AtStep(epoch).Stream(HashStream("datasets.augment"));
  const uint64_t first = uint64_t{4} * index;
  constexpr uint32_t kOffsets = 2 * kCropPadding + 1;
  return {.row = static_cast<int>(rng.Below(first, kOffsets)) - kCropPadding,
          .column = static_cast<int>(rng.Below(first + 1, kOffsets)) - kCropPadding,
          .mirror = may_flip && rng.Below(first + 2, 2) == 1};
}

ops::ImageSize SizeOfImages(const ImageDataset& dataset) {
  return {.channels = dataset.channels, .height = dataset.height, .width = dataset.width};
}

std::vector<float> NormalizationTable(const ImageDataset& dataset) {
  std::vector<float> table;
  for (int c = 0; c < dataset.channels; ++c) {
    for (int v = 0; v < ops::kPixelValues; ++v) {
      table.push_back(static_cast<float>((v / 255.0 - dataset.mean[c]) / dataset.stddev[c]));
    }
  }
  return table;
}

}  // namespace halftone
