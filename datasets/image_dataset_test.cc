#include "datasets/image_dataset.h"

#include <cmath>

#include "gtest/gtest.h"

namespace halftone {
namespace {

ImageDataset TwoChannels(std::vector<uint8_t> pixels) {
  ImageDataset dataset;
  dataset.channels = 2;
  dataset.height = 1;
  dataset.width = 2;
  dataset.train.labels.resize(pixels.size() / 4);
  dataset.train.pixels = std::move(pixels);
  return dataset;
}

TEST(ImageDatasetTest, StatisticsAreOfThePopulation) {
  // Two images: channel 0 holds 0, 255, 255, 0; channel 1 holds 51, 51, 102, 204.
  ImageDataset dataset = TwoChannels({0, 255, 51, 51, 255, 0, 102, 204});
  SetStatistics(dataset);
  ASSERT_EQ(dataset.mean.size(), 2u);
  ASSERT_EQ(dataset.stddev.size(), 2u);
  EXPECT_DOUBLE_EQ(dataset.mean[0], 0.5);
  EXPECT_DOUBLE_EQ(dataset.stddev[0], 0.5);
  EXPECT_DOUBLE_EQ(dataset.mean[1], 0.4);
  EXPECT_DOUBLE_EQ(dataset.stddev[1], std::sqrt((0.04 + 0.04 + 0 + 0.16) / 4));
}

TEST(ImageDatasetTest, ChannelWithoutVarianceHasDeviationOne) {
  ImageDataset dataset = TwoChannels({7, 7, 0, 255});
  SetStatistics(dataset);
  EXPECT_DOUBLE_EQ(dataset.mean[0], 7 / 255.0);
  EXPECT_EQ(dataset.stddev[0], 1);
  EXPECT_DOUBLE_EQ(dataset.stddev[1], 0.5);
}

TEST(ImageDatasetTest, StatisticsReplaceFormerOnes) {
  ImageDataset dataset = TwoChannels({0, 255, 0, 255});
  SetStatistics(dataset);
  SetStatistics(dataset);
  EXPECT_EQ(dataset.mean.size(), 2u);
  EXPECT_EQ(dataset.stddev.size(), 2u);
}

}  // namespace
}  // namespace halftone
