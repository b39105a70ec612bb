// Gives a fuzz target every file of the folders named on the command line: the corpus as a test, where
// libFuzzer's own main is not linked. Without any file it fails.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i], error)) {
      paths.push_back(entry.path().string());
    }
    if (error) {
      std::fprintf(stderr, "cannot read the folder %s: %s\n", argv[i], error.message().c_str());
      return 1;
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "there is no input: name a folder that has some\n");
    return 1;
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> bytes = halftone::ReadFile(path);
    if (!bytes.ok()) {
      std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
      return 1;
    }
    std::fprintf(stderr, "%s\n", path.c_str());  // before the target may crash
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  }
  std::printf("%zu inputs\n", paths.size());
  return 0;
}
