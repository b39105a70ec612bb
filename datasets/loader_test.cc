#include "datasets/loader.h"

#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "datasets/augment.h"
#include "datasets/dataset.h"
#include "datasets/fixture.h"
#include "datasets/shuffle.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

struct Copy {
  std::vector<float> images;
  std::vector<int64_t> labels;

  friend bool operator==(const Copy&, const Copy&) = default;
};

Copy CopyOf(const Batch& batch) {
  const auto images = batch.input.span<float>();
  const auto labels = batch.labels.span<int64_t>();
  return {{images.begin(), images.end()}, {labels.begin(), labels.end()}};
}

std::unique_ptr<DataLoader> MakeLoader(Device& device, const ImageDataset& data,
                                       const DataLoaderOptions& options, LoaderPosition start = {}) {
  auto loader = DataLoader::Create(device, data, data.train, options, start);
  EXPECT_TRUE(loader.ok()) << loader.status();
  return *std::move(loader);
}

// Each image's number is its label, so that batches tell which images they hold.
ImageDataset Numbered(int images) {
  ImageDataset data = MakeDataset(2, 5, 6, images);
  for (int i = 0; i < images; ++i) data.train.labels[i] = i;
  return data;
}

void Render(const ImageDataset& data, int64_t image, const ops::ImageCrop& crop, float* out) {
  ops::RenderImage(SizeOfImages(data), data.train.pixels.data() + image * data.image_bytes(),
                   NormalizationTable(data).data(), crop, out);
}

constexpr DataLoaderOptions kTraining = {.batch_size = 8, .shuffle = true, .augment = true, .seed = 9};

TEST(LoaderTest, BatchesEqualTheSlowTwin) {
  Device device;
  const ImageDataset data = Numbered(21);
  for (const bool shuffle : {false, true}) {
    for (const bool augment : {false, true}) {
      const auto loader =
          MakeLoader(device, data, {.batch_size = 8, .shuffle = shuffle, .augment = augment, .seed = 9});
      EXPECT_EQ(loader->batches_per_epoch(), 3);
      for (int epoch = 0; epoch < 3; ++epoch) {
        std::vector<uint32_t> order(21);
        ShuffledOrder(9, epoch, absl::MakeSpan(order));
        int at = 0;
        for (const int size : {8, 8, 5}) {
          const Batch batch = loader->Next();
          ASSERT_EQ(batch.input.shape(), Shape({size, 5, 6, 2}));
          ASSERT_EQ(batch.labels.shape(), Shape({size}));
          for (int i = 0; i < size; ++i, ++at) {
            const int64_t image = shuffle ? order[at] : at;
            ASSERT_EQ(batch.labels.span<int64_t>()[i], image);
            std::vector<float> expected(60);
            Render(data, image, augment ? DrawAugmentation(9, epoch, image, true) : ops::ImageCrop(),
                   expected.data());
            const auto got = batch.input.span<float>().subspan(i * 60, 60);
            ASSERT_EQ(std::vector<float>(got.begin(), got.end()), expected);
          }
        }
      }
    }
  }
}

TEST(LoaderTest, EveryImageOnceAnEpochInANewOrder) {
  Device device;
  const ImageDataset data = Numbered(37);
  const auto loader = MakeLoader(device, data, kTraining);
  std::set<std::vector<int64_t>> orders;
  for (int epoch = 0; epoch < 4; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
      EXPECT_EQ(loader->position(), (LoaderPosition{epoch, b}));
      const Copy batch = CopyOf(loader->Next());
      order.insert(order.end(), batch.labels.begin(), batch.labels.end());
    }
    orders.insert(order);
    EXPECT_EQ(order.size(), 37u);
    EXPECT_EQ(std::set<int64_t>(order.begin(), order.end()).size(), 37u);
  }
  EXPECT_EQ(orders.size(), 4u);
}

TEST(LoaderTest, PartialBatches) {
  Device device;
  const ImageDataset data = Numbered(10);
  const auto sizes = [&](int64_t batch_size, bool drop_last) {
    const auto loader = MakeLoader(device, data, {.batch_size = batch_size, .drop_last = drop_last});
    std::vector<int64_t> sizes;
    for (int64_t b = 0; b < 2 * loader->batches_per_epoch(); ++b)
      sizes.push_back(loader->Next().labels.elements());
    return sizes;
  };
  EXPECT_EQ(sizes(4, false), (std::vector<int64_t>{4, 4, 2, 4, 4, 2}));
  EXPECT_EQ(sizes(4, true), (std::vector<int64_t>{4, 4, 4, 4}));
  EXPECT_EQ(sizes(5, false), (std::vector<int64_t>{5, 5, 5, 5}));
  EXPECT_EQ(sizes(5, true), (std::vector<int64_t>{5, 5, 5, 5}));
  EXPECT_EQ(sizes(10, true), (std::vector<int64_t>{10, 10}));
  EXPECT_EQ(sizes(11, false), (std::vector<int64_t>{10, 10}));
  EXPECT_EQ(sizes(INT64_MAX, false), (std::vector<int64_t>{10, 10}));
}

TEST(LoaderTest, SameBatchesForAnyTiming) {
  Device device;
  const ImageDataset data = Numbered(37);
  std::vector<Copy> first;
  for (int run = 0; run < 3; ++run) {
    const auto loader = MakeLoader(device, data, kTraining);
    for (int b = 0; b < 40; ++b) {
      if (run == 1) std::this_thread::sleep_for(std::chrono::microseconds(b % 3 * 700));
      if (run == 2 && b % 7 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
      const Copy batch = CopyOf(loader->Next());
      if (run == 0) {
        first.push_back(batch);
      } else {
        ASSERT_TRUE(batch == first[b]) << run << " " << b;
      }
    }
  }
}

TEST(LoaderTest, StartAnywhereEqualsTheRunFromTheStart) {
  Device device;
  const ImageDataset data = Numbered(37);
  const auto whole = MakeLoader(device, data, kTraining);
  std::vector<Copy> batches;
  std::vector<LoaderPosition> positions;
  for (int b = 0; b < 16; ++b) {
    positions.push_back(whole->position());
    batches.push_back(CopyOf(whole->Next()));
  }
  for (size_t from = 0; from < batches.size(); ++from) {
    const auto resumed = MakeLoader(device, data, kTraining, positions[from]);
    for (size_t b = from; b < batches.size(); ++b) {
      ASSERT_EQ(resumed->position(), positions[b]);
      ASSERT_TRUE(CopyOf(resumed->Next()) == batches[b]) << from << " " << b;
    }
  }
  // The end of an epoch is the start of the next.
  const auto next = MakeLoader(device, data, kTraining, {.epoch = 0, .batch = 5});
  EXPECT_EQ(next->position(), (LoaderPosition{1, 0}));
  EXPECT_TRUE(CopyOf(next->Next()) == batches[5]);
}

TEST(LoaderTest, TheSeedMatters) {
  Device device;
  const ImageDataset data = Numbered(37);
  DataLoaderOptions other = kTraining;
  other.seed = 10;
  EXPECT_FALSE(CopyOf(MakeLoader(device, data, kTraining)->Next()) ==
               CopyOf(MakeLoader(device, data, other)->Next()));
}

TEST(LoaderTest, DigitsAreNotMirrored) {
  Device device;
  ImageDataset data = Numbered(64);
  data.flip = false;
  const auto loader = MakeLoader(device, data, {.batch_size = 64, .augment = true, .seed = 9});
  const Batch batch = loader->Next();
  for (int i = 0; i < 64; ++i) {
    ops::ImageCrop crop = DrawAugmentation(9, 0, i, true);
    crop.mirror = false;
    std::vector<float> expected(60);
    Render(data, i, crop, expected.data());
    const auto got = batch.input.span<float>().subspan(i * 60, 60);
    ASSERT_EQ(std::vector<float>(got.begin(), got.end()), expected);
  }
}

TEST(LoaderTest, EarlyDestruction) {
  Device device;
  const ImageDataset data = Numbered(37);
  for (int taken = 0; taken < 12; ++taken) {
    for (const int wait_us : {0, 50, 500}) {
      const auto loader = MakeLoader(device, data, kTraining);
      for (int b = 0; b < taken; ++b) loader->Next();
      std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
    }
  }
  EXPECT_EQ(device.allocator().stats().live_bytes, 0);
}

TEST(LoaderTest, BatchesOutliveTheLoader) {
  Device device;
  const ImageDataset data = Numbered(37);
  auto loader = MakeLoader(device, data, kTraining);
  const Batch kept = loader->Next();
  const Copy before = CopyOf(kept);
  for (int b = 0; b < 12; ++b) loader->Next();
  loader.reset();
  EXPECT_TRUE(CopyOf(kept) == before);
}

TEST(LoaderTest, SteadyStateTakesNothingFromTheSystem) {
  Device device;
  const ImageDataset data = Numbered(37);  // four batches of 8 and one of 5
  const auto loader = MakeLoader(device, data, kTraining);
  for (int b = 0; b < 10; ++b) loader->Next();
  const AllocatorStats before = device.allocator().stats();
  for (int b = 0; b < 100; ++b) loader->Next();
  const AllocatorStats after = device.allocator().stats();
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  // The one that the caller holds, the one that is made, and the table.
  EXPECT_EQ(after.peak_bytes, 2 * 8 * (60 * 4 + 8) + 2 * ops::kPixelValues * 4);
}

TEST(LoaderTest, BadOptions) {
  Device device;
  const ImageDataset data = Numbered(10);
  const auto message = [&](const DataLoaderOptions& options, LoaderPosition start = {}) {
    return std::string(DataLoader::Create(device, data, data.train, options, start).status().message());
  };
  EXPECT_EQ(message({.batch_size = 0}), "the batch size is 0, expected at least 1");
  EXPECT_EQ(message({.batch_size = -3}), "the batch size is -3, expected at least 1");
  EXPECT_EQ(message({.batch_size = 11, .drop_last = true}),
            "data set made up has 10 images, fewer than one batch of 11: make the batch smaller or load more "
            "images");
  for (const LoaderPosition start : {LoaderPosition{-1, 0}, {0, -1}, {0, 4}, {int64_t{1} << 32, 0}}) {
    EXPECT_EQ(message({.batch_size = 4}, start).find("cannot start at epoch " + std::to_string(start.epoch)),
              0u);
  }
  EXPECT_EQ(DataLoader::Create(device, data, ImageSplit(), {}).status().message(),
            "data set made up: the split has no images");
}

TEST(LoaderTest, EvaluatesTheTestSplitOfTheSample) {
  Device device;
  const ImageDataset data = LoadImages("cifar10", FixtureRoot("cifar10")).value();
  const auto loader = DataLoader::Create(device, data, data.test, {.batch_size = 128}).value();
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<int64_t> labels;
    for (int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
      const Copy batch = CopyOf(loader->Next());
      labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    }
    EXPECT_EQ(labels, std::vector<int64_t>(data.test.labels.begin(), data.test.labels.end()));
  }
}

TEST(LoaderTest, TrainingInputIsNormalized) {
  Device device;
  const ImageDataset data = LoadImages("cifar10", FixtureRoot("cifar10")).value();
  const Batch batch = MakeLoader(device, data, {.batch_size = 1000})->Next();
  const auto pixels = batch.input.span<float>();
  for (int c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = c; i < pixels.size(); i += 3) {
      sum += pixels[i];
      squares += double{pixels[i]} * pixels[i];
    }
    EXPECT_NEAR(sum / (1000 * 1024), 0, 1e-6);
    EXPECT_NEAR(squares / (1000 * 1024), 1, 1e-6);
  }
}

}  // namespace
}  // namespace halftone
