#include "datasets/augment.h"

#include <array>
#include <vector>

#include "datasets/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

// The slow twin: normalises, pads, crops, mirrors and turns the image to [H, W, C], one whole pass after the
// other.
std::vector<float> RenderSlowly(const ImageDataset& d, const uint8_t* image,
                                const Augmentation& augmentation) {
  const int padded_height = d.height + 2 * kCropPadding, padded_width = d.width + 2 * kCropPadding;
  std::vector<float> padded(d.channels * padded_height * padded_width, 0.0f);
  for (int c = 0; c < d.channels; ++c) {
    for (int y = 0; y < d.height; ++y) {
      for (int x = 0; x < d.width; ++x) {
        const double value = image[(c * d.height + y) * d.width + x] / 255.0;
        padded[(c * padded_height + y + kCropPadding) * padded_width + x + kCropPadding] =
            static_cast<float>((value - d.mean[c]) / d.stddev[c]);
      }
    }
  }
  std::vector<float> out;
  for (int y = 0; y < d.height; ++y) {
    for (int x = 0; x < d.width; ++x) {
      for (int c = 0; c < d.channels; ++c) {
        const int column = augmentation.flip ? d.width - 1 - x : x;
        out.push_back(
            padded[(c * padded_height + y + augmentation.top) * padded_width + column + augmentation.left]);
      }
    }
  }
  return out;
}

TEST(AugmentTest, EveryCropAndFlipEqualsTheSlowTwin) {
  // The narrow one is no wider than the padding.
  for (const auto& [channels, height, width] :
       {std::array{3, 32, 32}, {1, 28, 28}, {2, 5, 9}, {3, 2, 3}, {1, 1, 1}}) {
    const ImageDataset dataset = MakeDataset(channels, height, width, 2);
    const std::vector<PixelTable> tables = NormalizationTables(dataset);
    const uint8_t* image = dataset.train.pixels.data() + dataset.image_bytes();
    for (int top = 0; top <= 2 * kCropPadding; ++top) {
      for (int left = 0; left <= 2 * kCropPadding; ++left) {
        for (const bool flip : {false, true}) {
          const Augmentation augmentation = {top, left, flip};
          std::vector<float> out(dataset.image_bytes(), -77.0f);
          RenderImage(dataset, image, tables, augmentation, out.data());
          ASSERT_EQ(out, RenderSlowly(dataset, image, augmentation)) << top << " " << left << " " << flip;
        }
      }
    }
  }
}

TEST(AugmentTest, NoneIsTheNormalizedImage) {
  const ImageDataset dataset = MakeDataset(3, 4, 5, 1);
  std::vector<float> out(dataset.image_bytes());
  RenderImage(dataset, dataset.train.pixels.data(), NormalizationTables(dataset), Augmentation(), out.data());
  double sum = 0;
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 5; ++x) {
      EXPECT_FLOAT_EQ(out[(y * 5 + x) * 3 + 1],
                      (dataset.train.pixels[(4 + y) * 5 + x] / 255.0 - dataset.mean[1]) / dataset.stddev[1]);
      sum += out[(y * 5 + x) * 3 + 1];
    }
  }
  EXPECT_NEAR(sum, 0, 1e-5);
}

TEST(AugmentTest, DrawsAreUniformAndDifferByImageEpochAndSeed) {
  constexpr int kImages = 9000;
  std::array<int, 9> tops{}, lefts{};
  int flips = 0, by_epoch = 0, by_seed = 0, by_image = 0;
  const auto same = [](const Augmentation& a, const Augmentation& b) {
    return a.top == b.top && a.left == b.left && a.flip == b.flip;
  };
  for (int i = 0; i < kImages; ++i) {
    const Augmentation a = DrawAugmentation(3, 1, i, true);
    ASSERT_TRUE(same(a, DrawAugmentation(3, 1, i, true)));
    ++tops.at(a.top);
    ++lefts.at(a.left);
    flips += a.flip;
    by_epoch += same(a, DrawAugmentation(3, 2, i, true));
    by_seed += same(a, DrawAugmentation(4, 1, i, true));
    by_image += same(a, DrawAugmentation(3, 1, i + 1, true));
  }
  // Five standard deviations of a binomial count.
  for (int k = 0; k < 9; ++k) {
    EXPECT_NEAR(tops[k], 1000, 150);
    EXPECT_NEAR(lefts[k], 1000, 150);
  }
  EXPECT_NEAR(flips, 4500, 240);
  // One in 162 agrees by chance.
  EXPECT_NEAR(by_epoch, kImages / 162.0, 40);
  EXPECT_NEAR(by_seed, kImages / 162.0, 40);
  EXPECT_NEAR(by_image, kImages / 162.0, 40);
}

TEST(AugmentTest, FlipsOnlyWhereThatIsAllowed) {
  for (int i = 0; i < 100; ++i) {
    const Augmentation with = DrawAugmentation(3, 1, i, true), without = DrawAugmentation(3, 1, i, false);
    EXPECT_FALSE(without.flip);
    EXPECT_EQ(with.top, without.top);
    EXPECT_EQ(with.left, without.left);
  }
}

}  // namespace
}  // namespace halftone
