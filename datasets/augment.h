// What becomes of an image's bytes on the way to the network: normalisation, and the augmentation that is usual
// for small photographs: pad by 4 and crop at random, mirror every second image (He et al., "Deep Residual
// Learning for Image Recognition", 2015, section 4.2).
#ifndef HALFTONE_DATASETS_AUGMENT_H_
#define HALFTONE_DATASETS_AUGMENT_H_

#include <cstdint>
#include <vector>

#include "datasets/image_dataset.h"
#include "tensor/ops/images/images.h"

namespace halftone {

inline constexpr int kCropPadding = 4;

// For image number `index` of the split: a crop that starts up to kCropPadding pixels off in each direction, and
// is mirrored or not. A pure function of the arguments. epoch: below 2^32.
ops::ImageCrop DrawAugmentation(uint64_t seed, int64_t epoch, uint32_t index, bool may_flip);

ops::ImageSize SizeOfImages(const ImageDataset& dataset);

// What every pixel value of each channel becomes, [C, 256]: (value / 255 - mean) / stddev, computed in double
// and rounded once.
std::vector<float> NormalizationTable(const ImageDataset& dataset);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_AUGMENT_H_
