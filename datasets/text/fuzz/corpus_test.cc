// The corpus as a test, where libFuzzer's own main is not linked.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "gtest/gtest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace halftone {
namespace {

TEST(CorpusTest, EveryInputPasses) {
  std::vector<std::string> paths;
  // The one corpus that comes with this target.
  for (const auto& entry : std::filesystem::recursive_directory_iterator("datasets/text/fuzz/corpus")) {
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_FALSE(paths.empty());
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const std::string bytes = ReadFile(path).value();
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0);
  }
}

}  // namespace
}  // namespace halftone
