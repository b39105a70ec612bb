#include "io/array_file_testing.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "io/element_type.h"
#include "io/test_files.h"

namespace halftone {

std::vector<double> Values(const ArrayFile& file, size_t index) {
  std::vector<double> values;
  uint64_t bytes = 0;
  const FileArray& array = file.arrays()[index];
  const absl::Status status = file.ReadChunks(index, [&](absl::Span<const char> chunk) {
    EXPECT_FALSE(chunk.empty());
    EXPECT_LE(chunk.size(), kMaxChunkBytes);
    EXPECT_EQ(chunk.size() % SizeOf(array.type), 0u);
    const size_t had = values.size();
    values.resize(had + chunk.size() / SizeOf(array.type));
    ConvertElements(array.type, chunk, absl::MakeSpan(values).subspan(had));
    bytes += chunk.size();
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(bytes, array.bytes);
  return values;
}

absl::Status ReadAll(const std::string& path, const OpenOptions& options) {
  const auto file = OpenArrayFile(path, options);
  if (!file.ok()) return file.status();
  for (size_t i = 0; i < (*file)->arrays().size(); ++i) {
    const absl::Status status =
        (*file)->ReadChunks(i, [](absl::Span<const char>) { return absl::OkStatus(); });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void ExpectOneLine(const absl::Status& status, const std::string& path) {
  EXPECT_TRUE(absl::StartsWith(status.message(), path)) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), '\n')) << status;
  EXPECT_LT(status.message().size(), path.size() + 300) << status;
}

void ExpectEveryCutRefused(absl::string_view name, const std::string& bytes) {
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string path = TempFile(absl::StrCat("cut_", name), absl::string_view(bytes).substr(0, n));
    const absl::Status status = ReadAll(path);
    EXPECT_FALSE(status.ok()) << n;
    ExpectOneLine(status, path);
  }
}

void ExpectNoFlipCrashes(absl::string_view name, const std::string& bytes) {
  int refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x04, 0x20, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const std::string path = TempFile(absl::StrCat("flipped_", name), damaged);
      const absl::Status status = ReadAll(path);
      refused += !status.ok();
      if (!status.ok()) ExpectOneLine(status, path);
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace halftone
