#include "tools/results/csv.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace halftone {
namespace {

// Takes a field, but not the comma behind it, from the line.
std::string TakeField(absl::string_view& line, std::string& flaw) {
  std::string field;
  if (absl::ConsumePrefix(&line, "\"")) {
    bool closed = false;
    while (!line.empty() && !closed) {
      const char c = line[0];
      line.remove_prefix(1);
      closed = c == '"' && !absl::ConsumePrefix(&line, "\"");  // "" is a quote
      if (!closed) field += c;
    }
    if (!closed) {
      flaw = "a quote without an end";
    } else if (!line.empty() && line[0] != ',') {
      flaw = "text behind a quoted field";
    }
  }
  const size_t comma = line.find(',');
  const size_t length = comma == absl::string_view::npos ? line.size() : comma;
  field.append(line.data(), length);
  line.remove_prefix(length);
  return field;
}

}  // namespace

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

Csv ParseCsv(absl::string_view bytes) {
  Csv csv;
  const size_t size = bytes.size();
  absl::ConsumePrefix(&bytes, "\xef\xbb\xbf");  // the byte-order mark that spreadsheets begin with
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = bytes.find('\n');
    if (end == absl::string_view::npos) {
      csv.cut = std::string(bytes);
      csv.cut_line = number;
      break;
    }
    absl::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty()) continue;
    CsvRow row = {.line = number, .end = size - bytes.size()};
    do {
      row.fields.push_back(TakeField(line, row.flaw));
    } while (absl::ConsumePrefix(&line, ","));
    csv.rows.push_back(std::move(row));
  }
  return csv;
}

}  // namespace halftone
