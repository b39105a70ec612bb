#include "datasets/text/text_loader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/philox.h"
#include "datasets/shuffle.h"
#include "datasets/text/fixture.h"
#include "datasets/text/sst2.h"
#include "datasets/text/text_batch.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

// Each sentence's label is its number; its ids follow from it, and its length, 3 to 30, is drawn.
TextDataset Numbered(int sentences) {
  TextDataset data;
  data.name = "made up";
  data.pad_id = -7;
  for (int i = 0; i < sentences; ++i) {
    const int length = 3 + static_cast<int>(Rng(5).Below(i, 28));
    for (int k = 0; k < length; ++k) data.train.ids.push_back(100 * i + k);
    data.train.begins.push_back(std::ssize(data.train.ids));
    data.train.labels.push_back(i);
  }
  return data;
}

std::unique_ptr<TextLoader> MakeLoader(Device& device, const TextDataset& data,
                                       const TextLoaderOptions& options, LoaderPosition start = {}) {
  auto loader = TextLoader::Create(device, data, data.train, options, start);
  EXPECT_TRUE(loader.ok()) << loader.status();
  return *std::move(loader);
}

std::vector<int64_t> Elements(const Tensor& tensor) {
  const auto elements = tensor.span<int64_t>();
  return {elements.begin(), elements.end()};
}

// The labels of one epoch, batch by batch.
std::vector<std::vector<int64_t>> Epoch(TextLoader& loader) {
  std::vector<std::vector<int64_t>> batches;
  for (int64_t b = 0; b < loader.batches_per_epoch(); ++b) batches.push_back(Elements(loader.Next().labels));
  return batches;
}

constexpr TextLoaderOptions kTraining = {.batch_size = 8, .shuffle = true, .bucket_batches = 5, .seed = 9};

TEST(TextBatchTest, PadsThreePlanes) {
  Device device;
  const std::vector<int32_t> a = {11, 12, 13}, b = {21}, types = {0, 1, 1};
  const Tensor batch = PadRows(device, {{.ids = a, .token_types = types}, {.ids = b}}, 4, 99);
  EXPECT_EQ(batch.shape(), Shape({2, 3, 4}));
  EXPECT_EQ(Elements(batch), (std::vector<int64_t>{11, 12, 13, 99, 1, 1, 1, 0, 0, 1, 1, 0,  //
                                                   21, 99, 99, 99, 1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(PaddedLength(13, 1), 13);
  EXPECT_EQ(PaddedLength(13, 8), 16);
  EXPECT_EQ(PaddedLength(16, 8), 16);
}

TEST(TextLoaderTest, BatchesHoldTheirSentences) {
  Device device;
  const TextDataset data = Numbered(43);
  for (const bool shuffle : {false, true}) {
    for (const int64_t bucket_batches : {1, 3, 100}) {
      for (const int64_t multiple : {1, 8}) {
        const auto loader = MakeLoader(device, data,
                                       {.batch_size = 8,
                                        .shuffle = shuffle,
                                        .bucket_batches = bucket_batches,
                                        .length_multiple = multiple});
        int64_t tokens = 0, positions = 0;
        const double padding = loader->PaddingShare();
        for (int64_t b = 0; b < loader->batches_per_epoch(); ++b) {
          const Batch batch = loader->Next();
          int64_t longest = 0;
          for (const int64_t i : batch.labels.span<int64_t>())
            longest = std::max(longest, data.train.length(i));
          const int64_t length = PaddedLength(longest, multiple);
          ASSERT_EQ(batch.input.shape(), Shape({batch.labels.elements(), 3, length}));
          const int64_t* plane = batch.input.data<int64_t>();
          for (const int64_t i : batch.labels.span<int64_t>()) {
            const int64_t n = data.train.length(i);
            for (int64_t k = 0; k < length; ++k) {
              ASSERT_EQ(plane[k], k < n ? 100 * i + k : -7);
              ASSERT_EQ(plane[length + k], k < n);
              ASSERT_EQ(plane[2 * length + k], 0);
            }
            plane += 3 * length;
            tokens += n;
            positions += length;
          }
        }
        EXPECT_DOUBLE_EQ(padding, 1 - static_cast<double>(tokens) / static_cast<double>(positions));
      }
    }
  }
}

TEST(TextLoaderTest, EverySentenceOnceAnEpoch) {
  Device device;
  const TextDataset data = Numbered(83);
  for (const int64_t bucket_batches : {1, 2, 5, 1000}) {
    for (const bool drop_last : {false, true}) {
      TextLoaderOptions options = kTraining;
      options.bucket_batches = bucket_batches;
      options.drop_last = drop_last;
      const auto loader = MakeLoader(device, data, options);
      std::set<int64_t> left_out;
      for (int epoch = 0; epoch < 3; ++epoch) {
        std::set<int64_t> seen;
        int64_t count = 0;
        const auto batches = Epoch(*loader);
        ASSERT_EQ(batches.size(), drop_last ? 10u : 11u);
        for (size_t b = 0; b < batches.size(); ++b) {
          EXPECT_EQ(batches[b].size(), b < 10 ? 8u : 3u);
          seen.insert(batches[b].begin(), batches[b].end());
          count += std::ssize(batches[b]);
        }
        EXPECT_EQ(count, drop_last ? 80 : 83);
        EXPECT_EQ(std::ssize(seen), count);
        for (int64_t i = 0; i < 83; ++i) {
          if (!seen.contains(i)) left_out.insert(i);
        }
      }
      // Never the same ones.
      EXPECT_EQ(drop_last, left_out.size() > 3);
    }
  }
}

TEST(TextLoaderTest, TheFilesOrderWithoutShuffling) {
  Device device;
  const TextDataset data = Numbered(21);
  const auto loader = MakeLoader(device, data, {.batch_size = 8});
  for (int epoch = 0; epoch < 2; ++epoch) {
    int64_t next = 0;
    for (const auto& batch : Epoch(*loader)) {
      for (const int64_t i : batch) EXPECT_EQ(i, next++);
    }
  }
  // Sorted, for evaluation: the same every epoch.
  const auto sorted = MakeLoader(device, data, {.batch_size = 8, .bucket_batches = 10});
  const auto first = Epoch(*sorted);
  EXPECT_EQ(first, Epoch(*sorted));
  EXPECT_NE(first, Epoch(*loader));
}

TEST(TextLoaderTest, BucketsHoldLikeLengths) {
  Device device;
  const TextDataset data = Numbered(4000);
  TextLoaderOptions options = kTraining;
  options.bucket_batches = 1;
  const auto mixed = MakeLoader(device, data, options);
  options.bucket_batches = 50;
  const auto bucketed = MakeLoader(device, data, options);
  EXPECT_GT(mixed->PaddingShare(), 0.3);
  EXPECT_LT(bucketed->PaddingShare(), 0.05);
  // A batch's sentences are of one window of the shuffled order.
  std::vector<uint32_t> order(4000);
  ShuffledOrder(kTraining.seed, 0, absl::MakeSpan(order));
  std::vector<int64_t> window(4000);
  for (int64_t at = 0; at < 4000; ++at) window[order[at]] = at / (50 * 8);
  std::vector<int64_t> lengths;
  for (const auto& batch : Epoch(*bucketed)) {
    for (const int64_t i : batch) EXPECT_EQ(window[i], window[batch[0]]);
    lengths.push_back(data.train.length(batch[0]));
  }
  // Batches come shuffled: neither ascending nor in blocks.
  int64_t ascents = 0;
  for (size_t b = 1; b < lengths.size(); ++b) ascents += lengths[b] > lengths[b - 1];
  EXPECT_GT(ascents, 150);
  EXPECT_LT(ascents, 350);
}

TEST(TextLoaderTest, EpochsSeedsAndWindowsDiffer) {
  Device device;
  const TextDataset data = Numbered(80);
  const auto loader = MakeLoader(device, data, kTraining);
  const auto first = Epoch(*loader);
  const auto second = Epoch(*loader);
  EXPECT_NE(first, second);
  EXPECT_EQ(first, Epoch(*MakeLoader(device, data, kTraining)));
  TextLoaderOptions other = kTraining;
  other.seed = 10;
  EXPECT_NE(first, Epoch(*MakeLoader(device, data, other)));
}

TEST(TextLoaderTest, StartsAtAnyBatch) {
  Device device;
  const TextDataset data = Numbered(45);
  std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> all;
  const auto loader = MakeLoader(device, data, kTraining);
  for (int i = 0; i < 18; ++i) {
    const Batch batch = loader->Next();
    all.emplace_back(Elements(batch.input), Elements(batch.labels));
  }
  EXPECT_EQ(loader->position(), (LoaderPosition{3, 0}));
  for (int start = 0; start < 18; ++start) {
    const auto resumed = MakeLoader(device, data, kTraining, {.epoch = start / 6, .batch = start % 6});
    for (int i = start; i < 18; ++i) {
      EXPECT_EQ(resumed->position(), (LoaderPosition{i / 6, i % 6}));
      const Batch batch = resumed->Next();
      ASSERT_EQ(std::pair(Elements(batch.input), Elements(batch.labels)), all[i]);
    }
  }
  EXPECT_EQ(MakeLoader(device, data, kTraining, {.epoch = 1, .batch = 6})->position(),
            (LoaderPosition{2, 0}));
}

TEST(TextLoaderTest, RefusesWhatCannotBe) {
  Device device;
  const TextDataset data = Numbered(5);
  const auto error = [&](const TextLoaderOptions& options, LoaderPosition start = {}) {
    return std::string(TextLoader::Create(device, data, data.train, options, start).status().message());
  };
  EXPECT_EQ(error({.batch_size = 0}), "the batch size is 0, expected at least 1");
  EXPECT_EQ(error({.bucket_batches = 0}), "the window of bucketing (batches) is 0, expected at least 1");
  EXPECT_EQ(error({.length_multiple = -1}), "the multiple of a batch's length is -1, expected at least 1");
  EXPECT_EQ(error({.length_multiple = 4097}),
            "the multiple of a batch's length is 4097, expected at most 4096");
  EXPECT_EQ(error({.batch_size = 6, .drop_last = true}),
            "data set made up has 5 sentences, fewer than one batch of 6: make the batch smaller or load "
            "more sentences");
  EXPECT_EQ(error({.batch_size = 2}, {.batch = 4}),
            "cannot start at epoch 0, batch 4: an epoch has 3 batches of 2 here; go on with the data set and "
            "batch size "
            "of the first run");
  EXPECT_EQ(TextLoader::Create(device, data, data.test, {}).status().message(),
            "data set made up: the split has no sentences");
  // A batch and a window larger than the data are no error.
  EXPECT_EQ(error({.batch_size = int64_t{1} << 62, .bucket_batches = int64_t{1} << 62}), "");
}

TEST(TextLoaderTest, TheSampleOfSst2) {
  Device device;
  const TextDataset data = LoadSst2("datasets/text/testdata/sst2", SmallTokenizer(), 64).value();
  TextLoaderOptions options = {.batch_size = 16, .shuffle = true, .drop_last = true};
  const double mixed = MakeLoader(device, data, options)->PaddingShare();
  options.bucket_batches = 10;
  const auto loader = MakeLoader(device, data, options);
  EXPECT_LT(loader->PaddingShare(), mixed / 3);
  const Batch batch = loader->Next();
  EXPECT_EQ(batch.input.shape()[0], 16);
  EXPECT_EQ(batch.input.data<int64_t>()[0], SmallTokenizer().vocabulary().cls());
}

}  // namespace
}  // namespace halftone
