// For the tests of this folder: small data sets, on disk and made up.
#ifndef HALFTONE_DATASETS_FIXTURE_H_
#define HALFTONE_DATASETS_FIXTURE_H_

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "base/philox.h"
#include "datasets/dataset.h"
#include "datasets/image_dataset.h"
#include "gtest/gtest.h"

namespace halftone {

// The folder of the files of a data set that the project carries: testdata/<name> or sample/<name>.
inline std::string FixtureRoot(const std::string& name) {
  const std::string root = "datasets/testdata/" + name;
  return std::filesystem::exists(root) ? root : "datasets/sample/" + name;
}

// An empty folder for the files of the running test.
inline std::string FreshFolder(const std::string& name) {
  std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::replace(test.begin(), test.end(), '/', '.');
  const std::string folder = ::testing::TempDir() + "/" + test + "." + name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

inline void Write(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  EXPECT_TRUE(file.good()) << path;
}

// LoadDataset of images.
inline absl::StatusOr<ImageDataset> LoadImages(const std::string& name, const std::string& root,
                                               int64_t limit = 0) {
  const absl::StatusOr<Dataset> data = LoadDataset(name, {.root = root, .limit = limit});
  if (!data.ok()) return data.status();
  EXPECT_NE(data->images(), nullptr);
  return *data->images();
}

// A copy of FixtureRoot(name) to spoil.
inline std::string CopyFixture(const std::string& name) {
  const std::string copy = FreshFolder(name);
  for (const auto& entry : std::filesystem::directory_iterator(FixtureRoot(name))) {
    Write(copy + "/" + entry.path().filename().string(), ReadFile(entry.path().string()).value());
  }
  return copy;
}

// The folder that HALFTONE_SHARED names, empty without one.
inline std::string SharedFolder() {
  const char* folder = std::getenv("HALFTONE_SHARED");
  return folder == nullptr ? "" : folder;
}

// Random pixels and labels.
inline ImageDataset MakeDataset(int channels, int height, int width, int images) {
  ImageDataset dataset;
  dataset.name = "made up";
  dataset.channels = channels;
  dataset.height = height;
  dataset.width = width;
  dataset.num_classes = 10;
  const Rng rng(17);
  for (int64_t i = 0; i < images * dataset.image_bytes(); ++i) {
    dataset.train.pixels.push_back(static_cast<uint8_t>(rng.Bits(i)));
  }
  for (int i = 0; i < images; ++i)
    dataset.train.labels.push_back(static_cast<int32_t>(rng.Stream(1).Below(i, 10)));
  dataset.test = dataset.train;
  SetStatistics(dataset);
  return dataset;
}

}  // namespace halftone

#endif  // HALFTONE_DATASETS_FIXTURE_H_
