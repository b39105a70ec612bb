#include "datasets/cifar.h"

#include <algorithm>

#include "datasets/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

std::string Record(int coarse, int fine, int pixel) {
  std::string record;
  if (coarse >= 0) record += static_cast<char>(coarse);
  return record + static_cast<char>(fine) + std::string(3072, static_cast<char>(pixel));
}

TEST(CifarTest, LoadsTheSampleOfCifar10) {
  const ImageDataset data = LoadCifar10(FixtureRoot("cifar10"), 0).value();
  EXPECT_EQ(data.name, "cifar10");
  EXPECT_EQ(data.channels, 3);
  EXPECT_EQ(data.height, 32);
  EXPECT_EQ(data.width, 32);
  EXPECT_EQ(data.num_classes, 10);
  EXPECT_TRUE(data.flip);
  EXPECT_EQ(data.train.size(), 1000);
  EXPECT_EQ(data.test.size(), 500);
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(std::count(data.train.labels.begin(), data.train.labels.end(), label), 100);
    EXPECT_EQ(std::count(data.test.labels.begin(), data.test.labels.end(), label), 50);
  }
  // The last record of the file, byte for byte.
  const std::string bytes = ReadFile(FixtureRoot("cifar10") + "/data_batch_1.bin").value();
  EXPECT_EQ(data.train.labels.back(), bytes[999 * 3073]);
  EXPECT_EQ(std::string(data.train.pixels.end() - 3072, data.train.pixels.end()),
            bytes.substr(999 * 3073 + 1));
  // Of the whole of CIFAR-10: mean 0.4914, 0.4822, 0.4465; deviation 0.2470, 0.2435, 0.2616.
  EXPECT_NEAR(data.mean[0], 0.4914, 0.02);
  EXPECT_NEAR(data.mean[1], 0.4822, 0.02);
  EXPECT_NEAR(data.mean[2], 0.4465, 0.02);
  EXPECT_NEAR(data.stddev[0], 0.2470, 0.01);
  EXPECT_NEAR(data.stddev[2], 0.2616, 0.01);
}

TEST(CifarTest, LoadsFineLabelsOfCifar100) {
  const ImageDataset data = LoadCifar100(FixtureRoot("cifar100"), 0).value();
  EXPECT_EQ(data.name, "cifar100");
  EXPECT_EQ(data.num_classes, 100);
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{76, 45, 94, 35, 51, 17}));
  EXPECT_EQ(data.test.labels, (std::vector<int32_t>{58, 42, 31, 26}));
  ASSERT_EQ(data.train.pixels.size(), 6u * 3072);
  EXPECT_EQ(data.train.pixels[0], 190);
  EXPECT_EQ(data.train.pixels[3072], 79);
  EXPECT_EQ(data.train.pixels.back(), 35);
}

TEST(CifarTest, TrainingBatchesCountInNumericOrder) {
  const std::string root = FreshFolder("numeric");
  for (const int number : {10, 2, 1}) {
    Write(root + "/data_batch_" + std::to_string(number) + ".bin", Record(-1, number % 10, number));
  }
  // Not batches.
  for (const char* name :
       {"/data_batch_.bin", "/data_batch_x.bin", "/data_batch_-1.bin", "/data_batch_3.bin.old"}) {
    Write(root + name, "x");
  }
  Write(root + "/test_batch.bin", Record(-1, 9, 9));
  const absl::StatusOr<ImageDataset> data = LoadCifar10(root, 0);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train.labels, (std::vector<int32_t>{1, 2, 0}));
  EXPECT_EQ(data->train.pixels.back(), 10);
}

TEST(CifarTest, LimitCrossesFiles) {
  const std::string root = FreshFolder("limit");
  Write(root + "/data_batch_1.bin", Record(-1, 1, 1) + Record(-1, 2, 2));
  Write(root + "/data_batch_2.bin", Record(-1, 3, 3) + Record(-1, 4, 4));
  Write(root + "/test_batch.bin", Record(-1, 9, 9) + Record(-1, 8, 8));
  const std::vector<int32_t> all = {1, 2, 3, 4};
  for (const int limit : {1, 2, 3, 4, 5}) {
    const ImageDataset data = LoadCifar10(root, limit).value();
    EXPECT_EQ(data.train.labels, std::vector<int32_t>(all.begin(), all.begin() + std::min(limit, 4)));
    EXPECT_EQ(data.train.pixels.size(), data.train.labels.size() * 3072);
    EXPECT_EQ(data.test.size(), 2);
  }
}

TEST(CifarTest, NoTrainingBatch) {
  const std::string root = FreshFolder("no_batch");
  Write(root + "/test_batch.bin", Record(-1, 9, 9));
  EXPECT_EQ(LoadCifar10(root, 0).status().message(),
            "there is no data_batch_1.bin, data_batch_2.bin, ... of the binary version of CIFAR-10 in " +
                root + ": put them there, or name the folder that has them");
}

TEST(CifarTest, SizeThatIsNoMultipleOfTheRecord) {
  const std::string root = CopyFixture("cifar100");
  Write(root + "/test.bin", std::string(3074 + 5, '\0'));
  EXPECT_EQ(
      LoadCifar100(root, 0).status().message(),
      root +
          "/test.bin: 3079 bytes are no whole number of CIFAR-100 records of 3074 bytes: 5 remain; the file "
          "is damaged or of another kind: get it again");
}

TEST(CifarTest, LabelOutOfRange) {
  std::string root = CopyFixture("cifar10");
  Write(root + "/test_batch.bin", Record(-1, 9, 0) + Record(-1, 10, 0));
  EXPECT_EQ(
      LoadCifar10(root, 0).status().message(),
      root +
          "/test_batch.bin: record 1 (counted from 0) has the label 10, expected 0 to 9; the file is damaged "
          "or of another kind: get it again");
  root = CopyFixture("cifar100");
  Write(root + "/train.bin", Record(19, 100, 0));
  EXPECT_NE(LoadCifar100(root, 0).status().message().find("has the fine label 100, expected 0 to 99"),
            absl::string_view::npos);
  Write(root + "/train.bin", Record(200, 99, 0));
  EXPECT_NE(LoadCifar100(root, 0).status().message().find("has the coarse label 200, expected 0 to 19"),
            absl::string_view::npos);
  Write(root + "/train.bin", Record(19, 99, 0));
  EXPECT_TRUE(LoadCifar100(root, 0).ok());
}

TEST(CifarTest, SharedData) {
  const std::string shared = SharedFolder();
  if (shared.empty()) GTEST_SKIP() << "HALFTONE_SHARED is not set";
  const ImageDataset ten = LoadCifar10(shared + "/data/cifar-10-batches-bin", 0).value();
  EXPECT_EQ(ten.train.size(), 20000);
  EXPECT_EQ(ten.test.size(), 2000);
  EXPECT_NEAR(ten.mean[0], 0.4914, 0.003);
  EXPECT_NEAR(ten.stddev[1], 0.2435, 0.003);
  EXPECT_EQ(LoadCifar10(shared + "/data/cifar-10-batches-bin", 10001).value().train.size(), 10001);
  const ImageDataset hundred = LoadCifar100(shared + "/data/cifar-100-binary", 0).value();
  EXPECT_EQ(hundred.train.size(), 10000);
  EXPECT_EQ(hundred.test.size(), 2000);
  EXPECT_NEAR(hundred.mean[2], 0.4409, 0.005);
  EXPECT_NEAR(hundred.stddev[2], 0.2762, 0.005);
}

}  // namespace
}  // namespace halftone
