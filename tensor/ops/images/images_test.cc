#include "tensor/ops/images/images.h"

#include <cstdint>
#include <vector>

#include "base/philox.h"
#include "gtest/gtest.h"
#include "testing/device.h"

namespace halftone::ops {
namespace {

struct Images {
  ImageSize size;
  std::vector<uint8_t> pixels;
  std::vector<float> table;
  std::vector<int32_t> crops;

  int64_t count() const { return std::ssize(crops) / 3; }
  int64_t elements() const { return int64_t{size.channels} * size.height * size.width; }
};

// An image for every crop that still may see something, and for one that does not, both ways.
Images EveryCrop(const ImageSize& size) {
  Images made = {.size = size};
  for (int row = -size.height; row <= size.height; ++row) {
    for (int column = -size.width; column <= size.width; ++column) {
      for (const int mirror : {0, 1}) made.crops.insert(made.crops.end(), {row, column, mirror});
    }
  }
  const Rng rng = Rng(7);
  for (int64_t i = 0; i < made.count() * made.elements(); ++i) {
    made.pixels.push_back(static_cast<uint8_t>(rng.Below(i, 256)));
  }
  for (int i = 0; i < size.channels * kPixelValues; ++i)
    made.table.push_back(static_cast<float>(i + 1) * 0.25f);
  return made;
}

// The slow twin: normalises, crops, mirrors and turns each image to [H, W, C], one whole pass after the other.
std::vector<float> RenderSlowly(const Images& images) {
  const int channels = images.size.channels, height = images.size.height, width = images.size.width;
  std::vector<float> out;
  for (int64_t n = 0; n < images.count(); ++n) {
    const auto normalised = [&](int c, int y, int x) {
      if (y < 0 || y >= height || x < 0 || x >= width) return 0.0f;
      return images.table[c * kPixelValues + images.pixels[((n * channels + c) * height + y) * width + x]];
    };
    std::vector<float> cropped;
    for (int c = 0; c < channels; ++c) {
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x)
          cropped.push_back(normalised(c, y + images.crops[3 * n], x + images.crops[3 * n + 1]));
      }
    }
    const bool mirror = images.crops[3 * n + 2] != 0;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        for (int c = 0; c < channels; ++c)
          out.push_back(cropped[(c * height + y) * width + (mirror ? width - 1 - x : x)]);
      }
    }
  }
  return out;
}

TEST(ImagesTest, EveryCropEqualsTheSlowTwin) {
  Device& device = TestDevice();
  for (const ImageSize& size : {ImageSize{3, 8, 8}, {1, 7, 5}, {2, 5, 9}, {3, 2, 3}, {1, 1, 1}}) {
    const int channels = size.channels, height = size.height, width = size.width;
    const Images images = EveryCrop(size);
    const Tensor y =
        RenderImages(Tensor::From<uint8_t>(device, {images.count(), channels, height, width}, images.pixels),
                     Tensor::From<int32_t>(device, {images.count(), 3}, images.crops),
                     Tensor::From<float>(device, {channels, kPixelValues}, images.table));
    ASSERT_EQ(y.shape(), Shape({images.count(), height, width, channels}));
    const auto got = y.span<float>();
    ASSERT_EQ(std::vector<float>(got.begin(), got.end()), RenderSlowly(images));
  }
}

TEST(ImagesTest, NoImages) {
  Device& device = TestDevice();
  const Tensor y = RenderImages(Tensor::Empty(device, DType::kU8, {0, 3, 4, 4}),
                                Tensor::Empty(device, DType::kI32, {0, 3}),
                                Tensor::Zeros(device, DType::kF32, {3, kPixelValues}));
  EXPECT_EQ(y.shape(), Shape({0, 4, 4, 3}));
}

TEST(ImagesDeathTest, ShapesThatDoNotFit) {
  Device& device = TestDevice();
  const Tensor pixels = Tensor::Zeros(device, DType::kU8, {2, 3, 4, 4}),
               crops = Tensor::Zeros(device, DType::kI32, {2, 3}),
               table = Tensor::Zeros(device, DType::kF32, {3, kPixelValues});
  EXPECT_DEATH(RenderImages(pixels, Tensor::Zeros(device, DType::kI32, {3, 3}), table), "check failed");
  EXPECT_DEATH(RenderImages(pixels, crops, Tensor::Zeros(device, DType::kF32, {1, kPixelValues})),
               "check failed");
}

}  // namespace
}  // namespace halftone::ops
