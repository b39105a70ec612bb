#include "datasets/augment.h"

#include <algorithm>
#include <cstddef>

#include "base/philox.h"

namespace halftone {

Augmentation DrawAugmentation(uint64_t seed, int64_t epoch, uint32_t index, bool may_flip) {
  // One block of four numbers an image, so no two images share a number.
  const Rng rng = Rng(seed).AtStep(epoch).Stream(HashStream("datasets.augment"));
  const uint64_t first = uint64_t{4} * index;
  constexpr uint32_t kOffsets = 2 * kCropPadding + 1;
  return {.top = static_cast<int>(rng.Below(first, kOffsets)),
          .left = static_cast<int>(rng.Below(first + 1, kOffsets)),
          .flip = may_flip && rng.Below(first + 2, 2) == 1};
}

std::vector<PixelTable> NormalizationTables(const ImageDataset& dataset) {
  std::vector<PixelTable> tables(dataset.channels);
  for (int c = 0; c < dataset.channels; ++c) {
    for (int v = 0; v < 256; ++v) {
      tables[c][v] = static_cast<float>((v / 255.0 - dataset.mean[c]) / dataset.stddev[c]);
    }
  }
  return tables;
}

void RenderImage(const ImageDataset& dataset, const uint8_t* image, absl::Span<const PixelTable> tables,
                 const Augmentation& augmentation, float* out) {
  const int height = dataset.height, width = dataset.width, channels = dataset.channels;
  const int dy = augmentation.top - kCropPadding, dx = augmentation.left - kCropPadding;
  // The columns of the crop, before it is mirrored, that lie in the image; the others are padding.
  const int begin = std::clamp(-dx, 0, width), end = std::clamp(width - dx, begin, width);
  const ptrdiff_t step = augmentation.flip ? -channels : channels;
  const ptrdiff_t first = ptrdiff_t{augmentation.flip ? width - 1 - begin : begin} * channels;
  const ptrdiff_t row_size = ptrdiff_t{width} * channels;
  for (int y = 0; y < height; ++y, out += row_size) {
    const int from = y + dy;
    const bool inside = from >= 0 && from < height;
    if (!inside || begin > 0 || end < width) std::fill_n(out, row_size, 0.0f);
    if (!inside) continue;
    for (int c = 0; c < channels; ++c) {
      const uint8_t* row = image + (ptrdiff_t{c} * height + from) * width;
      const PixelTable& table = tables[c];
      ptrdiff_t at = first + c;
      for (int x = begin; x < end; ++x, at += step) out[at] = table[row[x + dx]];
    }
  }
}

}  // namespace halftone
