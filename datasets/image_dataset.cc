#include "datasets/image_dataset.h"

#include <array>
#include <cmath>

#include "base/check.h"

namespace halftone {

void SetStatistics(ImageDataset& dataset) {
  const ImageSplit& train = dataset.train;
  const int64_t plane = int64_t{dataset.height} * dataset.width;
  HALFTONE_CHECK(train.size() > 0 && plane > 0);
  HALFTONE_CHECK(static_cast<int64_t>(train.pixels.size()) == train.size() * dataset.image_bytes());

  std::vector<std::array<int64_t, 256>> counts(dataset.channels);
  const uint8_t* pixel = train.pixels.data();
  for (int64_t image = 0; image < train.size(); ++image) {
    for (std::array<int64_t, 256>& count : counts) {
      for (int64_t i = 0; i < plane; ++i) ++count[*pixel++];
    }
  }

  const double n = static_cast<double>(train.size() * plane);
  dataset.mean.clear();
  dataset.stddev.clear();
  for (const std::array<int64_t, 256>& count : counts) {
    int64_t sum = 0;
    for (int v = 0; v < 256; ++v) sum += count[v] * v;
    const double mean = static_cast<double>(sum) / n;
    double squares = 0;
    for (int v = 0; v < 256; ++v) squares += static_cast<double>(count[v]) * (v - mean) * (v - mean);
    dataset.mean.push_back(mean / 255);
    dataset.stddev.push_back(squares > 0 ? std::sqrt(squares / n) / 255 : 1);
  }
}

}  // namespace halftone
