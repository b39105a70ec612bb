// From an image's bytes to a normalised network input, with the augmentation that is usual for small
// photographs: pad by 4 and crop at random, mirror every second image (He et al., "Deep Residual Learning for
// Image Recognition", 2015, section 4.2).
#ifndef HALFTONE_DATASETS_AUGMENT_H_
#define HALFTONE_DATASETS_AUGMENT_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "datasets/image_dataset.h"

namespace halftone {

inline constexpr int kCropPadding = 4;

// The default changes nothing.
struct Augmentation {
  // Where the crop starts in the padded image: 0 to 2 * kCropPadding.
  int top = kCropPadding, left = kCropPadding;
  bool flip = false;  // left to right, after the crop
};

// For image number `index` of the split: a pure function of the arguments. epoch: below 2^32.
Augmentation DrawAugmentation(uint64_t seed, int64_t epoch, uint32_t index, bool may_flip);

// What every pixel value becomes: (value / 255 - mean) / stddev, computed in double and rounded once.
using PixelTable = std::array<float, 256>;
std::vector<PixelTable> NormalizationTables(const ImageDataset& dataset);  // one a channel

// Writes [H, W, C] from `image`'s [C, H, W] bytes; `dataset` gives the sizes. Padding is zero after
// normalisation.
void RenderImage(const ImageDataset& dataset, const uint8_t* image, absl::Span<const PixelTable> tables,
                 const Augmentation& augmentation, float* out);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_AUGMENT_H_
