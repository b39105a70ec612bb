#include "io/fuzz/check_array_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "io/array.h"
#include "io/array_file.h"
#include "io/element_type.h"

namespace halftone {
namespace {

// Of the elements of one file that are read. A small file may hold very many: packed, or the same again and
// again.
constexpr uint64_t kMostBytes = 1 << 20;

// One line that names the file, or one beside it, whatever the file holds: nothing that a terminal could take
// for a command.
void CheckError(const absl::Status& status, const FuzzFile& file) {
  HALFTONE_CHECK(!status.ok());
  HALFTONE_CHECK(absl::StrContains(status.message(), file.folder()));
  HALFTONE_CHECK(status.message().size() < 3000);  // kMaxArrayRank lengths of 20 digits each, and names
  for (const char c : status.message()) HALFTONE_CHECK(static_cast<uint8_t>(c) >= ' ' && c != '\x7f');
}

// Both conversions of a chunk agree wherever a double holds every value of the type.
void CheckConversion(ElementType type, absl::Span<const char> chunk) {
  std::vector<double> wide(chunk.size() / SizeOf(type));
  std::vector<float> narrow(wide.size());
  ConvertElements(type, chunk, absl::MakeSpan(wide));
  ConvertElements(type, chunk, absl::MakeSpan(narrow));
  if (type == ElementType::kI64 || type == ElementType::kU64) return;
  for (size_t i = 0; i < wide.size(); ++i) {
    const float rounded = static_cast<float>(wide[i]);
    HALFTONE_CHECK(narrow[i] == rounded || (std::isnan(narrow[i]) && std::isnan(rounded)));
  }
}

// The bytes [begin, end) of an array, or why they cannot be read. They come to at most kMostBytes.
absl::StatusOr<std::string> Range(const ArrayFile& file, size_t index, uint64_t begin, uint64_t end) {
  const FileArray& array = file.arrays()[index];
  std::string bytes;
  const absl::Status status = file.ReadRange(index, begin, end, [&](absl::Span<const char> chunk) {
    HALFTONE_CHECK(!chunk.empty() && chunk.size() <= kMaxChunkBytes);
    HALFTONE_CHECK(chunk.size() % SizeOf(array.type) == 0);
    CheckConversion(array.type, chunk);
    bytes.append(chunk.data(), chunk.size());
    HALFTONE_CHECK(bytes.size() <= end - begin);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  HALFTONE_CHECK(bytes.size() == end - begin);
  return bytes;
}

void CheckInfo(const FileArray& array) {
  HALFTONE_CHECK(array.shape.rank() <= kMaxArrayRank);
  HALFTONE_CHECK(ArrayBytes(array.type, array.shape.dims()) == array.bytes);
}

void CheckElements(const ArrayFile& file, size_t index, const FuzzFile& fuzz_file) {
  const FileArray& array = file.arrays()[index];
  const absl::StatusOr<std::string> whole = Range(file, index, 0, array.bytes);
  if (!whole.ok()) return CheckError(whole.status(), fuzz_file);
  HALFTONE_CHECK(Range(file, index, 0, array.bytes) == whole);  // again: reading left nothing behind

  const absl::Status stop = absl::CancelledError("stop");
  int calls = 0;
  const absl::Status stopped = file.ReadChunks(index, [&](absl::Span<const char>) {
    ++calls;
    return stop;
  });
  HALFTONE_CHECK(array.bytes == 0 ? stopped.ok() && calls == 0 : stopped == stop && calls == 1);

  if (!file.random_access()) return;
  const uint64_t size = SizeOf(array.type), elements = array.bytes / size;
  for (const uint64_t begin : {elements / 3, elements / 2, elements}) {
    for (const uint64_t end : {begin, std::min(begin + 1, elements), elements}) {
      const absl::StatusOr<std::string> part = whole->substr(begin * size, (end - begin) * size);
      HALFTONE_CHECK(Range(file, index, begin * size, end * size) == part);
    }
  }
}

}  // namespace

FuzzFile::FuzzFile(absl::string_view name) {
  const char* const given = std::getenv("TEST_TMPDIR");
  folder_ = absl::StrCat(given == nullptr ? "/dev/shm" : given, "/halftone_fuzz.XXXXXX");
  HALFTONE_CHECK(mkdtemp(folder_.data()) != nullptr);
  path_ = absl::StrCat(folder_, "/", name);
  fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  HALFTONE_CHECK(fd_ >= 0);
}

FuzzFile::~FuzzFile() {
  close(fd_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void FuzzFile::Write(absl::string_view bytes) {
  bytes_ = bytes.size();
  HALFTONE_CHECK(ftruncate(fd_, 0) == 0);
  HALFTONE_CHECK(pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
}

void CheckArrayFile(const FuzzFile& file, const OpenOptions& options) {
  const absl::StatusOr<std::unique_ptr<ArrayFile>> opened = OpenArrayFile(file.path(), options);
  if (!opened.ok()) return CheckError(opened.status(), file);
  const std::vector<FileArray>& arrays = (*opened)->arrays();
  // No more than a file of its size can list, be its list packed.
  HALFTONE_CHECK(arrays.size() <= 1024 + 1032 * file.bytes());
  std::set<std::string> names;
  uint64_t read = 0;
  for (size_t i = 0; i < arrays.size(); ++i) {
    HALFTONE_CHECK(names.insert(arrays[i].name).second);
    CheckInfo(arrays[i]);
    if (arrays[i].bytes > kMostBytes - read) continue;
    read += arrays[i].bytes;
    CheckElements(**opened, i, file);
  }
}

}  // namespace halftone
