// A model's worth of arrays for benchmarks of what happens to weights and gradients.
#ifndef HALFTONE_TESTING_RESNET18_SIZES_H_
#define HALFTONE_TESTING_RESNET18_SIZES_H_

#include <cstddef>
#include <vector>

namespace halftone {

// The elements of ResNet18's 62 parameters, for 32x32 images and 10 classes: convolutions without bias, two
// vectors for each batch norm. 11,173,962 in all.
inline std::vector<size_t> ResNet18Sizes() {
  std::vector<size_t> sizes;
  const auto conv_bn = [&](size_t in, size_t out, size_t kernel) {
    sizes.insert(sizes.end(), {in * out * kernel * kernel, out, out});
  };
  conv_bn(3, 64, 3);
  size_t in = 64;
  for (const size_t out : {64, 128, 256, 512}) {
    conv_bn(in, out, 3);
    conv_bn(out, out, 3);
    if (in != out) conv_bn(in, out, 1);
    conv_bn(out, out, 3);
    conv_bn(out, out, 3);
    in = out;
  }
  sizes.insert(sizes.end(), {512 * 10, 10});
  return sizes;
}

}  // namespace halftone

#endif  // HALFTONE_TESTING_RESNET18_SIZES_H_
