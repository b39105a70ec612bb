#include "datasets/text/text_file.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"
#include "base/file.h"

namespace halftone {

absl::StatusOr<std::string> ReadTextFile(const std::string& path, absl::string_view expected,
                                         int64_t max_bytes) {
  const absl::StatusOr<int64_t> size = FileSize(path);
  if (absl::IsNotFound(size.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no ", path, " (", expected, "): put it there, or name the one to use"));
  }
  if (!size.ok()) {
    return absl::Status(size.status().code(), absl::StrCat(size.status().message(), "; expected ", expected));
  }
  if (*size > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file has ", *size, " bytes, expected ",
                                                   expected, " in at most ", max_bytes,
                                                   "; check what it is"));
  }
  return ReadFile(path);
}

std::string Quote(absl::string_view text) {
  constexpr size_t kShown = 40;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kShown)), text.size() > kShown ? "..." : "", "'");
}

LineReader::LineReader(absl::string_view bytes) : rest_(absl::StripPrefix(bytes, "\xef\xbb\xbf")) {}

bool LineReader::Next() {
  if (rest_.empty()) return false;
  const size_t end = std::min(rest_.find('\n'), rest_.size());
  line_ = absl::StripSuffix(rest_.substr(0, end), "\r");
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  ++number_;
  return true;
}

}  // namespace halftone
