#include "datasets/augment.h"

#include <array>
#include <vector>

#include "datasets/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

TEST(AugmentTest, NoneIsTheNormalizedImage) {
  const ImageDataset dataset = MakeDataset(3, 4, 5, 1);
  std::vector<float> out(dataset.image_bytes());
  ops::RenderImage(SizeOfImages(dataset), dataset.train.pixels.data(), NormalizationTable(dataset).data(), {},
                   out.data());
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
  const auto same = [](const ops::ImageCrop& a, const ops::ImageCrop& b) {
    return a.row == b.row && a.column == b.column && a.mirror == b.mirror;
  };
  for (int i = 0; i < kImages; ++i) {
    const ops::ImageCrop a = DrawAugmentation(3, 1, i, true);
    ASSERT_TRUE(same(a, DrawAugmentation(3, 1, i, true)));
    ++tops.at(a.row + kCropPadding);
    ++lefts.at(a.column + kCropPadding);
    flips += a.mirror;
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
    const ops::ImageCrop with = DrawAugmentation(3, 1, i, true), without = DrawAugmentation(3, 1, i, false);
    EXPECT_FALSE(without.mirror);
    EXPECT_EQ(with.row, without.row);
    EXPECT_EQ(with.column, without.column);
  }
}

}  // namespace
}  // namespace halftone
