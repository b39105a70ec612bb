#include "tools/sweep/csv.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone::sweep {

std::string CsvLine(absl::Span<const std::string> fields) {
  const auto append = [](std::string* out, const std::string& field) {
    std::string text = absl::StrReplaceAll(field, {{"\r", " "}, {"\n", " "}});
    if (text.find_first_of(",\"") == std::string::npos) {
      absl::StrAppend(out, text);
    } else {
      absl::StrAppend(out, "\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
    }
  };
  return absl::StrJoin(fields, ",", append);
}

absl::StatusOr<std::vector<std::string>> ParseCsvLine(absl::string_view line) {
  std::vector<std::string> fields = {""};
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ',') {
      fields.emplace_back();
    } else if (line[i] == '"' && fields.back().empty()) {
      for (++i; i < line.size() && (line[i] != '"' || (i + 1 < line.size() && line[i + 1] == '"')); ++i) {
        if (line[i] == '"') ++i;
        fields.back() += line[i];
      }
      if (i == line.size()) return absl::DataLossError("a quote without an end");
      if (i + 1 < line.size() && line[i + 1] != ',') return absl::DataLossError("text behind a quoted field");
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

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
  const auto columns = std::count(header.begin(), header.end(), ',') + 1;
  size_t begin = first.size();
  csv.size = static_cast<int64_t>(begin);
  for (int line = 2; begin < text.size(); ++line) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      csv.cut = text.substr(begin);
      break;
    }
    absl::StatusOr<std::vector<std::string>> fields =
        ParseCsvLine(absl::string_view(text).substr(begin, end - begin));
    if (!fields.ok())
      return absl::DataLossError(absl::StrCat(path, ":", line, ": ", fields.status().message()));
    if (static_cast<int64_t>(fields->size()) != columns) {
      return absl::DataLossError(
          absl::StrCat(path, ":", line, ": ", fields->size(), " columns, expected ", columns));
    }
    begin = end + 1;
    csv.size = static_cast<int64_t>(begin);
    csv.rows.push_back({*std::move(fields), csv.size});
  }
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
