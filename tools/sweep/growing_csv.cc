#include "tools/sweep/growing_csv.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone::sweep {

absl::StatusOr<CsvFile> ReadCsv(const std::string& path, absl::string_view header) {
  CsvFile csv;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return csv;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string first = absl::StrCat(header, "\n");
  if (absl::StartsWith(first, text)) {
    if (text.size() == first.size()) csv.size = static_cast<int64_t>(text.size());
    return csv;
  }
  if (!absl::StartsWith(text, first)) {
    return absl::DataLossError(absl::StrCat(path, ":1: not the header of a sweep; expected ", header));
  }
  const auto columns = static_cast<size_t>(std::count(header.begin(), header.end(), ',') + 1);
  Csv table = ParseCsv(text);
  table.rows.erase(table.rows.begin());
  csv.size = static_cast<int64_t>(text.size() - table.cut.size());
  csv.cut = std::move(table.cut);
  for (const CsvRow& row : table.rows) {
    const auto refuse = [&](auto... what) {
      return absl::DataLossError(absl::StrCat(path, ":", row.line, ": ", what...));
    };
    if (!row.flaw.empty()) return refuse(row.flaw);
    if (row.fields.size() != columns) return refuse(row.fields.size(), " columns, expected ", columns);
  }
  csv.rows = std::move(table.rows);
  return csv;
}

absl::StatusOr<std::unique_ptr<CsvAppender>> CsvAppender::Open(const std::string& path,
                                                               absl::string_view header, int64_t size) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return ErrnoError("open", path);
  std::unique_ptr<CsvAppender> appender(new CsvAppender(path, fd, size));
  if (ftruncate(fd, size) != 0) return ErrnoError("cut", path);
  if (size == 0) RETURN_IF_ERROR(appender->Write(absl::StrCat(header, "\n")));
  return appender;
}

CsvAppender::~CsvAppender() { close(fd_); }

absl::Status CsvAppender::Append(absl::Span<const std::string> fields) {
  return Write(absl::StrCat(CsvLine(fields), "\n"));
}

absl::Status CsvAppender::Write(absl::string_view line) {
  absl::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      break;
    }
  }
  if (!rest.empty() || fsync(fd_) != 0) {
    absl::Status error = ErrnoError("write", path_);
    if (ftruncate(fd_, size_) != 0) {
      error = absl::Status(error.code(), absl::StrCat(error.message(), "; its last row may be cut"));
    }
    return error;
  }
  size_ += static_cast<int64_t>(line.size());
  return absl::OkStatus();
}

}  // namespace halftone::sweep
