// A set of labelled images in memory, as the bytes of its files, and what normalising them takes.
#ifndef HALFTONE_DATASETS_IMAGE_DATASET_H_
#define HALFTONE_DATASETS_IMAGE_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

struct ImageSplit {
  std::vector<uint8_t> pixels;  // [N][C][H][W], 0 to 255
  std::vector<int32_t> labels;  // [N], each in [0, num_classes)

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

struct ImageDataset {
  std::string name;
  int channels = 0, height = 0, width = 0;
  int num_classes = 0;
  // Whether an image and its mirror image are of the same class: true for photographs, false for digits.
  // Augmentation flips only where it is true.
  bool flip = true;

  ImageSplit train, test;

  // Of train's pixels / 255, a channel: the mean and the population's standard deviation. A channel without
  // any variance has the deviation 1, so that (pixel / 255 - mean) / stddev is finite.
  std::vector<double> mean, stddev;

  int64_t image_bytes() const { return int64_t{channels} * height * width; }
};

// Computes mean and stddev from train, which is not empty. Exact sums in any order: a histogram.
void SetStatistics(ImageDataset& dataset);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_IMAGE_DATASET_H_
