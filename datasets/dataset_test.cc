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
  const absl::StatusOr<ImageDataset> data = LoadDataset(name(), FixtureRoot(name()));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->name, name());
  ExpectConsistent(*data);
}

TEST_P(DatasetTest, LimitKeepsTheFirstTrainingImages) {
  const ImageDataset all = LoadDataset(name(), FixtureRoot(name())).value();
  const ImageDataset two = LoadDataset(name(), FixtureRoot(name()), 2).value();
  ExpectConsistent(two);
  EXPECT_EQ(two.train.labels, std::vector<int32_t>(all.train.labels.begin(), all.train.labels.begin() + 2));
  EXPECT_EQ(two.train.pixels,
            std::vector<uint8_t>(all.train.pixels.begin(), all.train.pixels.begin() + 2 * all.image_bytes()));
  EXPECT_EQ(two.test.pixels, all.test.pixels);
  EXPECT_NE(two.mean, all.mean);
}

TEST_P(DatasetTest, NegativeLimit) {
  EXPECT_EQ(LoadDataset(name(), FixtureRoot(name()), -1).status().message(),
            "data set " + name() + ": the limit is -1, expected a number of images, or 0 for all");
}

TEST_P(DatasetTest, NoFolder) {
  for (const std::string& root :
       {std::string(), std::string("no/such/folder"), FixtureRoot(name()) + "/nothing"}) {
    const absl::Status status = LoadDataset(name(), root).status();
    const std::string start =
        "data set " + name() + ": there is no folder \"" + root + "\"; name the folder that holds ";
    EXPECT_EQ(status.message().find(start), 0u) << status;
  }
  // A file is no folder.
  const std::string file = DataFiles(FixtureRoot(name())).front();
  EXPECT_NE(LoadDataset(name(), file).status().message().find("there is no folder \"" + file),
            absl::string_view::npos);
}

TEST_P(DatasetTest, EveryFileIsNeeded) {
  const size_t files = DataFiles(FixtureRoot(name())).size();
  ASSERT_GE(files, 2u);
  for (size_t i = 0; i < files; ++i) {
    const std::string root = CopyFixture(name()), file = DataFiles(root)[i];
    fs::remove(file);
    const absl::Status status = LoadDataset(name(), root).status();
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
      return LoadDataset(name(), root).status();
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
    ExpectClear(LoadDataset(name(), root).status(), file);
    fs::remove(file);
    fs::create_directory(file);
    ExpectClear(LoadDataset(name(), root).status(), file);
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
    const absl::StatusOr<ImageDataset> data = LoadDataset(name(), root);
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
  for (const DatasetRow& row : Datasets()) names.emplace_back(row.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, DatasetTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

TEST(DatasetTableTest, UnknownName) {
  EXPECT_EQ(LoadDataset("imagenet", ".").status().message(),
            "unknown data set \"imagenet\"; expected one of: cifar10, cifar100, mnist");
}

}  // namespace
}  // namespace halftone
