// Files of arrays for the tests of conversions.
#ifndef HALFTONE_TOOLS_CONVERT_CONVERT_TESTING_H_
#define HALFTONE_TOOLS_CONVERT_CONVERT_TESTING_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "io/array_file.h"
#include "io/array_writer.h"
#include "io/open_array_file.h"

namespace halftone {

inline std::string TempPath(absl::string_view name) { return absl::StrCat(::testing::TempDir(), "/", name); }

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

struct Array {
  FileArray info;
  std::string bytes;
};

inline std::string WriteArrays(absl::string_view name, const std::vector<Array>& arrays,
                               const std::map<std::string, std::string>& metadata = {}) {
  const std::string path = TempPath(name);
  std::vector<FileArray> infos;
  std::map<std::string, std::string> bytes;
  for (const Array& array : arrays) {
    infos.push_back(array.info);
    bytes[array.info.name] = array.bytes;
  }
  absl::StatusOr<std::unique_ptr<ArrayWriter>> writer = ArrayWriter::Create(path, infos, metadata);
  EXPECT_TRUE(writer.ok()) << writer.status();
  for (const FileArray& array : (*writer)->arrays()) {
    EXPECT_TRUE((*writer)->Append(bytes.at(array.name)).ok());
  }
  EXPECT_TRUE((*writer)->Commit().ok());
  return path;
}

inline std::unique_ptr<ArrayFile> Open(const std::string& path) {
  absl::StatusOr<std::unique_ptr<ArrayFile>> file = OpenArrayFile(path);
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

}  // namespace halftone

#endif  // HALFTONE_TOOLS_CONVERT_CONVERT_TESTING_H_
