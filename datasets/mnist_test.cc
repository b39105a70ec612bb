#include "datasets/mnist.h"

#include <filesystem>
#include <vector>

#include "datasets/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

std::string Idx(const std::vector<uint32_t>& header, size_t bytes, int value = 0) {
  std::string file;
  for (const uint32_t word : header) {
    for (const int shift : {24, 16, 8, 0}) file += static_cast<char>(word >> shift);
  }
  return file + std::string(bytes, static_cast<char>(value));
}

// The message of loading the fixture with one file replaced.
std::string Message(const std::string& file, const std::string& bytes) {
  const std::string root = CopyFixture("mnist");
  Write(root + "/" + file, bytes);
  const absl::Status status = LoadMnist(root, 0).status();
  const std::string message(status.message());
  EXPECT_EQ(message.substr(0, root.size()), root);  // the path, in full
  return message.substr(std::min(message.size(), root.size() + 1));
}

constexpr char kImages[] = "train-images-idx3-ubyte";
constexpr char kLabels[] = "t10k-labels-idx1-ubyte";
std::string Again() { return "; the file is damaged or of another kind: get it again"; }

TEST(MnistTest, LoadsTheFixture) {
  const ImageDataset data = LoadMnist(FixtureRoot("mnist"), 0).value();
  EXPECT_EQ(data.name, "mnist");
  EXPECT_EQ(data.channels, 1);
  EXPECT_EQ(data.height, 28);
  EXPECT_EQ(data.width, 28);
  EXPECT_EQ(data.num_classes, 10);
  EXPECT_FALSE(data.flip);
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5}));
  EXPECT_EQ(data.test.labels, (std::vector<int32_t>{7, 2, 1, 0, 4, 1, 4, 9}));
  const auto sum = [](const ImageSplit& split, int image) {
    int total = 0;
    for (int i = 0; i < 784; ++i) total += split.pixels.at(image * 784 + i);
    return total;
  };
  EXPECT_EQ(sum(data.train, 0), 27525);
  EXPECT_EQ(sum(data.train, 11), 14250);
  EXPECT_EQ(sum(data.test, 7), 21062);
  EXPECT_NEAR(data.mean[0], 0.1307, 0.03);
  EXPECT_NEAR(data.stddev[0], 0.3081, 0.03);
}

TEST(MnistTest, LimitTakesTheFirst) {
  const ImageDataset data = LoadMnist(FixtureRoot("mnist"), 3).value();
  EXPECT_EQ(data.train.labels, (std::vector<int32_t>{5, 0, 4}));
  EXPECT_EQ(data.train.pixels.size(), 3u * 784);
  EXPECT_EQ(data.test.size(), 8);
  EXPECT_EQ(LoadMnist(FixtureRoot("mnist"), 100).value().train.size(), 12);
}

TEST(MnistTest, BadMagic) {
  EXPECT_EQ(Message(kImages, Idx({0x801, 1, 28, 28}, 784)),
            std::string(kImages) + ": the file starts with 0x00000801, expected 0x00000803 (IDX, images)" +
                Again());
  EXPECT_EQ(Message(kLabels, Idx({0x803, 1}, 1)),
            std::string(kLabels) + ": the file starts with 0x00000803, expected 0x00000801 (IDX, labels)" +
                Again());
  EXPECT_EQ(Message(kImages, Idx({0x1f8b0808, 1, 28, 28}, 784)),
            std::string(kImages) + ": the file is compressed, expected plain IDX: run gunzip on it");
}

TEST(MnistTest, TooShortForAHeader) {
  EXPECT_EQ(Message(kImages, Idx({0x803, 1, 28}, 3)),
            std::string(kImages) + ": the file has 15 bytes, expected an IDX header of 16 bytes and images" +
                Again());
  EXPECT_EQ(Message(kLabels, "x"),
            std::string(kLabels) + ": the file has 1 bytes, expected an IDX header of 8 bytes and labels" +
                Again());
}

TEST(MnistTest, WrongImageSize) {
  EXPECT_EQ(Message(kImages, Idx({0x803, 1, 32, 28}, 32 * 28)),
            std::string(kImages) + ": dimension 1 of the images is 32, expected 28" + Again());
  EXPECT_EQ(Message(kImages, Idx({0x803, 1, 28, 0xFFFFFFFF}, 784)),
            std::string(kImages) + ": dimension 2 of the images is 4294967295, expected 28" + Again());
}

TEST(MnistTest, CountsThatLie) {
  EXPECT_EQ(Message(kImages, Idx({0x803, 0xFFFFFFFF, 28, 28}, 784)),
            std::string(kImages) +
                ": the header says 4294967295 images, which take 3367254359296 bytes, but the file has 800" +
                Again());
  EXPECT_EQ(Message(kLabels, Idx({0x801, 9}, 8)),
            std::string(kLabels) + ": the header says 9 labels, which take 17 bytes, but the file has 16" +
                Again());
  EXPECT_EQ(Message(kLabels, Idx({0x801, 7}, 8)),
            std::string(kLabels) + ": the header says 7 labels, which take 15 bytes, but the file has 16" +
                Again());
  EXPECT_EQ(Message(kImages, Idx({0x803, 0, 28, 28}, 0)),
            std::string(kImages) + ": the file holds no images, expected at least one" + Again());
}

TEST(MnistTest, ImagesAndLabelsOfDifferentSets) {
  const std::string message = Message(kLabels, Idx({0x801, 9}, 9));
  EXPECT_EQ(message.find("t10k-images-idx3-ubyte holds 8 images but "), 0u) << message;
  EXPECT_NE(message.find(
                "t10k-labels-idx1-ubyte holds 9 labels, expected as many; the files are not of one set: get "
                "both again"),
            std::string::npos)
      << message;
}

TEST(MnistTest, LabelOutOfRange) {
  EXPECT_EQ(Message(kLabels, Idx({0x801, 8}, 8, 10)),
            std::string(kLabels) + ": record 0 (counted from 0) has the label 10, expected 0 to 9" + Again());
}

TEST(MnistTest, OnlyCompressed) {
  const std::string root = CopyFixture("mnist");
  const std::string path = root + "/" + kLabels;
  std::filesystem::rename(path, path + ".gz");
  EXPECT_EQ(
      LoadMnist(root, 0).status().message(),
      path + " (MNIST's labels in the IDX format) is there only compressed: run gunzip on " + path + ".gz");
}

TEST(MnistTest, SharedData) {
  const std::string shared = SharedFolder();
  if (shared.empty()) GTEST_SKIP() << "HALFTONE_SHARED is not set";
  const ImageDataset data = LoadMnist(shared + "/data/mnist", 0).value();
  EXPECT_EQ(data.train.size(), 3600);
  EXPECT_EQ(data.test.size(), 1000);
  EXPECT_NEAR(data.mean[0], 0.1307, 0.003);
  EXPECT_NEAR(data.stddev[0], 0.3081, 0.003);
}

}  // namespace
}  // namespace halftone
