// For the tests of this folder: its files, and files to spoil.
#ifndef HALFTONE_DATASETS_TEXT_FIXTURE_H_
#define HALFTONE_DATASETS_TEXT_FIXTURE_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "datasets/text/wordpiece.h"
#include "gtest/gtest.h"

namespace halftone {

inline constexpr char kTestData[] = "datasets/text/testdata";

inline WordPieceTokenizer SmallTokenizer(const WordPieceOptions& options = {}) {
  return WordPieceTokenizer(Vocabulary::Load(std::string(kTestData) + "/vocab.txt").value(), options);
}

// An empty folder for the files of the running test.
inline std::string FreshFolder() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder = ::testing::TempDir() + "/" + info->test_suite_name() + "." + info->name();
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

// The folder that HALFTONE_SHARED names, empty without one.
inline std::string SharedFolder() {
  const char* folder = std::getenv("HALFTONE_SHARED");
  return folder == nullptr ? "" : folder;
}

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_FIXTURE_H_
