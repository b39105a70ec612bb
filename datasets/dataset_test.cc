#include "datasets/dataset.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/data_file.h"
#include "datasets/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

// Every row of the table, with the files that the project carries for it.
class DatasetTest : public ::testing::TestWithParam<std::string> {
 protected:
  const std::string& name() const { return GetParam(); }
};

void ExpectConsistent(const ImageDataset& data) {
  for (const ImageSplit* split : {&data.train, &data.test}) {
    ASSERT_GT(split->size(), 0);
    ASSERT_EQ(static_cast<int64_t>(split->pixels.size()), split->size() * data.image_bytes());
    for (const int32_t label : split->labels) {
      ASSERT_GE(label, 0);
      ASSERT_LT(label, data.num_classes);
    }
  }
  ASSERT_EQ(std::ssize(data.mean), data.channels);
  ASSERT_EQ(std::ssize(data.stddev), data.channels);
  for (int c = 0; c < data.channels; ++c) {
    EXPECT_TRUE(std::isfinite(data.mean[c]));
    EXPECT_GT(data.stddev[c], 0);
  }
}

std::vector<std::string> DataFiles(const std::string& root) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.path().extension() != ".txt") paths.push_back(entry.path().string());
  }
  return paths;
}

// One line, that names the file or the folder in full.
void ExpectClear(const absl::Status& status, const std::string& path) {
  ASSERT_FALSE(status.ok()) << path;
  EXPECT_NE(status.message().find(path), absl::string_view::npos) << status;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
  EXPECT_NE(status.message().find("expected"), absl::string_view::npos) << status;
}

TEST_P(DatasetTest, LoadsItsFixture) {
  const absl::StatusOr<ImageDataset> data = LoadImages(name(), FixtureRoot(name()));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->name, name());
  ExpectConsistent(*data);
}

TEST_P(DatasetTest, LimitKeepsTheFirstTrainingImages) {
  const ImageDataset all = LoadImages(name(), FixtureRoot(name())).value();
  const ImageDataset two = LoadImages(name(), FixtureRoot(name()), 2).value();
  ExpectConsistent(two);
  EXPECT_EQ(two.train.labels, std::vector<int32_t>(all.train.labels.begin(), all.train.labels.begin() + 2));
  EXPECT_EQ(two.train.pixels,
            std::vector<uint8_t>(all.train.pixels.begin(), all.train.pixels.begin() + 2 * all.image_bytes()));
  EXPECT_EQ(two.test.pixels, all.test.pixels);
  EXPECT_NE(two.mean, all.mean);
}

TEST_P(DatasetTest, NegativeLimit) {
  EXPECT_EQ(LoadImages(name(), FixtureRoot(name()), -1).status().message(),
            "data set " + name() + ": the limit is -1, expected a number of examples, or 0 for all");
}

TEST_P(DatasetTest, NoFolder) {
  for (const std::string& root :
       {std::string(), std::string("no/such/folder"), FixtureRoot(name()) + "/nothing"}) {
    const absl::Status status = LoadImages(name(), root).status();
    const std::string start =
        "data set " + name() + ": there is no folder \"" + root + "\"; name the folder that holds ";
    EXPECT_EQ(status.message().find(start), 0u) << status;
  }
  // A file is no folder.
  const std::string file = DataFiles(FixtureRoot(name())).front();
  EXPECT_NE(LoadImages(name(), file).status().message().find("there is no folder \"" + file),
            absl::string_view::npos);
}

TEST_P(DatasetTest, EveryFileIsNeeded) {
  const size_t files = DataFiles(FixtureRoot(name())).size();
  ASSERT_GE(files, 2u);
  for (size_t i = 0; i < files; ++i) {
    const std::string root = CopyFixture(name()), file = DataFiles(root)[i];
    fs::remove(file);
    const absl::Status status = LoadImages(name(), root).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_NE(status.message().find(fs::path(file).filename().string()), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find(root), absl::string_view::npos) << status;
    EXPECT_NE(status.message().find("put "), absl::string_view::npos) << status;
  }
}

TEST_P(DatasetTest, DamagedFilesAreRefused) {
  const size_t files = DataFiles(FixtureRoot(name())).size();
  for (size_t i = 0; i < files; ++i) {
    const std::string root = CopyFixture(name()), file = DataFiles(root)[i];
    const std::string bytes = ReadFile(file).value();
    const auto load_with = [&](const std::string& spoilt) {
      Write(file, spoilt);
      return LoadImages(name(), root).status();
    };
    ExpectClear(load_with(""), file);
    for (const size_t cut : {size_t{1}, size_t{7}, bytes.size() / 2 + 1, bytes.size() - 1}) {
      const absl::Status status = load_with(bytes.substr(0, bytes.size() - cut));
      ASSERT_FALSE(status.ok()) << cut;
      EXPECT_EQ(status.message().find(file + ": "), 0u) << status;
    }
    EXPECT_EQ(load_with(bytes + "x").message().find(file + ": "), 0u);
    // Far too long, and refused unread: the file is a hole.
    fs::resize_file(file, kMaxDataFileBytes + 1);
    ExpectClear(LoadImages(name(), root).status(), file);
    fs::remove(file);
    fs::create_directory(file);
    ExpectClear(LoadImages(name(), root).status(), file);
  }
}

TEST_P(DatasetTest, SurvivesAnyBytes) {
  const std::string root = CopyFixture(name());
  const std::vector<std::string> files = DataFiles(root);
  int refused = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const Rng rng(seed);
    const std::string& file = files[seed % files.size()];
    const std::string bytes = ReadFile(file).value();
    std::string spoilt = bytes.substr(0, 40000);
    if (seed % 2 == 0) spoilt.resize(rng.Below(0, static_cast<uint32_t>(spoilt.size())) + 1);
    const uint32_t flips = 1 + rng.Below(1, 20);
    for (uint32_t k = 0; k < flips; ++k) {
      // Half of them in the first bytes, where headers are.
      const uint32_t range = k % 2 == 0 ? std::min<uint32_t>(20, spoilt.size()) : spoilt.size();
      spoilt[rng.Below(2 + 2 * k, range)] = static_cast<char>(rng.Bits(3 + 2 * k));
    }
    Write(file, spoilt);
    const absl::StatusOr<ImageDataset> data = LoadImages(name(), root);
    if (data.ok()) {
      ExpectConsistent(*data);
    } else {
      ++refused;
      EXPECT_EQ(data.status().message().find('\n'), absl::string_view::npos);
    }
    Write(file, bytes);
  }
  EXPECT_GT(refused, 100);
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const DatasetRow& row : Datasets()) {
    if (row.name != "sst2") names.emplace_back(row.name);  // texts: below, and datasets/text
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, DatasetTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(DatasetTableTest, UnknownName) {
  EXPECT_EQ(LoadImages("imagenet", ".").status().message(),
            "unknown data set \"imagenet\"; valid: cifar10, cifar100, mnist, sst2");
}

constexpr char kTexts[] = "datasets/text/testdata/sst2", kVocabulary[] = "datasets/text/testdata/vocab.txt";

TEST(DatasetTableTest, ASetOfTexts) {
  Device device;
  Dataset data = LoadDataset("sst2", {.root = kTexts, .limit = 50, .vocabulary = kVocabulary}).value();
  ASSERT_EQ(data.images(), nullptr);
  EXPECT_EQ(data.name(), "sst2");
  EXPECT_EQ(data.num_classes(), 2);
  EXPECT_EQ(data.train_size(), 50);
  EXPECT_EQ(data.unit(), "sentences");
  EXPECT_GT(data.texts()->vocabulary, 900);
  data.LimitTest(10);
  data.LimitTest(11);
  ASSERT_EQ(data.test_size(), 10);
  const auto test = data.TestBatches(device, 8).value();
  EXPECT_EQ(test->batches_per_epoch(), 2);
  for (const int64_t n : {8, 2}) {
    const Batch batch = test->Next();
    EXPECT_EQ(batch.input.shape()[0], n);
    EXPECT_EQ(batch.input.shape()[1], 3);
    EXPECT_EQ(batch.labels.shape(), Shape({n}));
  }
  const auto train = data.TrainBatches(device, {.batch_size = 16, .bucket_batches = 3}).value();
  EXPECT_EQ(train->batches_per_epoch(), 3);
  EXPECT_EQ(train->About().find("0 of 50 sentences were cut, the longest has "), 0u) << train->About();
}

TEST(DatasetTableTest, TextsNeedAVocabularyAndAreNotAugmented) {
  Device device;
  EXPECT_EQ(LoadDataset("sst2", {.root = kTexts}).status().message(),
            "no vocabulary (data.vocabulary) is named; expected the vocab.txt that comes with the model");
  EXPECT_FALSE(LoadDataset("sst2", {.root = kTexts, .vocabulary = "no/such/file"}).ok());
  EXPECT_FALSE(LoadDataset("sst2", {.root = kTexts, .vocabulary = kVocabulary, .max_length = 2}).ok());
  const Dataset data = LoadDataset("sst2", {.root = kTexts, .vocabulary = kVocabulary}).value();
  EXPECT_EQ(data.TrainBatches(device, {.batch_size = 16, .augment = true}).status().message(),
            "data set sst2 has sentences, and only images are augmented; leave data.augment out");
}

TEST(DatasetTableTest, ASetOfImages) {
  Device device;
  Dataset data = LoadDataset("mnist", {.root = FixtureRoot("mnist")}).value();
  ASSERT_EQ(data.texts(), nullptr);
  EXPECT_EQ(data.unit(), "images");
  data.LimitTest(3);
  EXPECT_EQ(data.test_size(), 3);
  EXPECT_EQ(data.TestBatches(device, 2).value()->batches_per_epoch(), 2);
  const auto train = data.TrainBatches(device, {.batch_size = 2, .augment = true}, {.epoch = 1}).value();
  EXPECT_EQ(train->position(), (LoaderPosition{1, 0}));
  EXPECT_EQ(train->About(), "");
}

}  // namespace
}  // namespace halftone
