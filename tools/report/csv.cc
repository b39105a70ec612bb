#include "tools/report/csv.h"

#include <utility>

#include "absl/strings/strip.h"

namespace halftone::report {
namespace {

// Takes a field and the comma behind it from the line.
std::string TakeField(absl::string_view& line) {
  std::string field;
  if (absl::ConsumePrefix(&line, "\"")) {
    while (!line.empty()) {
      const char c = line[0];
      line.remove_prefix(1);
      if (c == '"' && !absl::ConsumePrefix(&line, "\"")) break;  // "" is a quote
      field += c;
    }
  }
  const size_t comma = line.find(',');
  const size_t length = comma == absl::string_view::npos ? line.size() : comma;
  field.append(line.data(), length);
  line.remove_prefix(length);
  return field;
}

std::vector<std::string> SplitLine(absl::string_view line) {
  std::vector<std::string> fields;
  do {
    fields.push_back(TakeField(line));
  } while (absl::ConsumePrefix(&line, ","));
  return fields;
}

}  // namespace

Csv ParseCsv(absl::string_view bytes) {
  Csv csv;
  absl::ConsumePrefix(&bytes, "\xef\xbb\xbf");  // the byte-order mark that spreadsheets begin with
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = bytes.find('\n');
    if (end == absl::string_view::npos) {
      csv.cut_line = number;
      break;
    }
    absl::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (!line.empty()) csv.rows.push_back({.line = number, .fields = SplitLine(line)});
  }
  return csv;
}

}  // namespace halftone::report
