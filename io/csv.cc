#include "io/csv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "tensor/shape.h"

namespace halftone {
namespace {

// The file's lines, one after the other, without their ends.
class Lines {
 public:
  explicit Lines(const InputFile& file)
      : file_(file), buffer_(std::min<uint64_t>(kMaxCsvLine, file.size()), '\0') {}

  // False at the end of the file. The line is valid until the next call.
  absl::StatusOr<bool> Next(absl::string_view* line) {
    ++number_;
    const void* end = Find();
    if (end == nullptr) {
      RETURN_IF_ERROR(Fill());
      end = Find();
    }
    if (end == nullptr && file_.size() > offset_) {
      return Damaged(Where(), absl::StrCat("the line is longer than ", kMaxCsvLine, " bytes"));
    }
    if (end == nullptr && begin_ == end_) return false;
    const size_t at =
        end == nullptr ? end_ : static_cast<size_t>(static_cast<const char*>(end) - buffer_.data());
    *line = absl::string_view(buffer_).substr(begin_, at - begin_);
    absl::ConsumeSuffix(line, "\r");
    begin_ = std::min(at + 1, end_);
    return true;
  }

  // "<path>: line <number>"
  std::string Where() const { return absl::StrCat(file_.path(), ": line ", number_); }
  uint64_t number() const { return number_; }

 private:
  const void* Find() const { return std::memchr(buffer_.data() + begin_, '\n', end_ - begin_); }

  absl::Status Fill() {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    const uint64_t more = std::min<uint64_t>(buffer_.size() - end_, file_.size() - offset_);
    RETURN_IF_ERROR(file_.ReadAt(offset_, absl::MakeSpan(buffer_.data() + end_, more)));
    offset_ += more;
    end_ += more;
    return absl::OkStatus();
  }

  const InputFile& file_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;  // of what is read and not handed out yet
  uint64_t offset_ = 0;         // in the file, of what is read next
  uint64_t number_ = 0;         // of the line handed out last
};

absl::string_view Trimmed(absl::string_view text) { return absl::StripAsciiWhitespace(text); }

bool ParseNumber(absl::string_view field, double* value) {
  field = Trimmed(field);
  if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
    field = field.substr(1, field.size() - 2);
  return absl::SimpleAtod(field, value);
}

// The fields of a line. A separator within double quotes does not separate.
void Split(absl::string_view line, char separator, std::vector<absl::string_view>* fields) {
  fields->clear();
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    if (line[i] != separator || quoted) continue;
    fields->push_back(line.substr(begin, i - begin));
    begin = i + 1;
  }
  fields->push_back(line.substr(begin));
}

// Calls f with the numbers of every row.
absl::Status ForEachRow(const InputFile& file, char separator,
                        absl::FunctionRef<absl::Status(absl::Span<const double> row)> f) {
  Lines lines(file);
  absl::string_view line;
  std::vector<absl::string_view> fields;
  std::vector<double> row;
  size_t columns = 0;  // 0 until a line says
  while (true) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    if (!more) return absl::OkStatus();
    if (lines.number() == 1) absl::ConsumePrefix(&line, "\xef\xbb\xbf");
    if (Trimmed(line).empty() || line[0] == '#') continue;
    Split(line, separator, &fields);
    const bool first = columns == 0;
    if (first) columns = fields.size();
    if (fields.size() != columns) {
      return Damaged(lines.Where(),
                     absl::StrCat("has ", fields.size(), " fields; the lines before it have ", columns));
    }
    row.resize(columns);
    size_t numbers = 0, wrong = columns;
    for (size_t i = 0; i < columns; ++i) {
      if (ParseNumber(fields[i], &row[i])) {
        ++numbers;
      } else {
        wrong = std::min(wrong, i);
      }
    }
    if (first && numbers == 0) continue;  // the heading
    if (wrong != columns) {
      return Damaged(lines.Where(),
                     absl::StrCat("field ", wrong + 1, ", ", QuotedForError(Trimmed(fields[wrong])),
                                  ", is not a number"));
    }
    RETURN_IF_ERROR(f(row));
  }
}

class CsvFile final : public ArrayFile {
 public:
  CsvFile(std::unique_ptr<InputFile> file, FileArray array, char separator)
      : ArrayFile(separator == '\t' ? "tsv" : "csv", {std::move(array)}),
        file_(std::move(file)),
        separator_(separator) {}

 private:
  absl::Status Read(size_t index, uint64_t, uint64_t, ChunkFunction f) const override {
    const uint64_t wanted = arrays()[index].bytes;
    std::vector<double> buffer;
    uint64_t given = 0;
    const auto give = [&] {
      const size_t bytes = buffer.size() * sizeof(double);
      // The file may have changed since it was opened.
      if (bytes > wanted - given)
        return Damaged(file_->path(), "the file has more rows than when it was opened");
      given += bytes;
      const absl::Status status = f({reinterpret_cast<const char*>(buffer.data()), bytes});
      buffer.clear();
      return status;
    };
    RETURN_IF_ERROR(ForEachRow(*file_, separator_, [&](absl::Span<const double> row) {
      for (const double x : row) {
        buffer.push_back(x);
        if (buffer.size() < kMaxChunkBytes / sizeof(double)) continue;
        RETURN_IF_ERROR(give());
      }
      return absl::OkStatus();
    }));
    if (!buffer.empty()) RETURN_IF_ERROR(give());
    if (given == wanted) return absl::OkStatus();
    return Damaged(file_->path(), "the file has fewer rows than when it was opened");
  }

  std::unique_ptr<InputFile> file_;
  char separator_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenCsv(std::unique_ptr<InputFile> file, char separator) {
  int64_t rows = 0, columns = 0;
  RETURN_IF_ERROR(ForEachRow(*file, separator, [&](absl::Span<const double> row) {
    ++rows;
    columns = static_cast<int64_t>(row.size());
    return absl::OkStatus();
  }));
  if (rows == 0) return Damaged(file->path(), "the file has no row of numbers");
  FileArray array{std::filesystem::path(file->path()).stem().string(), ElementType::kF64,
                  Shape{rows, columns}, 0, static_cast<uint64_t>(rows * columns) * sizeof(double)};
  return std::make_unique<CsvFile>(std::move(file), std::move(array), separator);
}

}  // namespace halftone
