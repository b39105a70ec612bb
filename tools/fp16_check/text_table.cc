#include "tools/fp16_check/text_table.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/text.h"

namespace halftone {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kMinFirst = 24;
constexpr size_t kMinLast = 28;

std::vector<size_t> Widths(const std::vector<TextColumn>& columns, const std::vector<TableRow>& rows) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns.size(); ++c) {
    widths.push_back(TextWidth(columns[c].heading));
    for (const TableRow& row : rows) widths[c] = std::max(widths[c], TextWidth(row.cells[c]));
  }
  return widths;
}

size_t Total(const std::vector<size_t>& widths) {
  size_t total = kGap * (widths.size() - 1);
  for (const size_t w : widths) total += w;
  return total;
}

// The column to leave out next, or columns.size().
size_t MostDispensable(const std::vector<TextColumn>& columns) {
  const auto most = std::max_element(
      columns.begin(), columns.end(),
      [](const TextColumn& a, const TextColumn& b) { return a.dispensable < b.dispensable; });
  return most->dispensable == 0 ? columns.size() : static_cast<size_t>(most - columns.begin());
}

std::string Line(const std::vector<TextColumn>& columns, const std::vector<size_t>& widths,
                 const TableRow& row, bool color) {
  const bool whole = row.style == TextStyle::kDim || row.style == TextStyle::kBold;
  std::string line;
  for (size_t c = 0; c < columns.size(); ++c) {
    const std::string& cell = row.cells[c];
    const std::string padding(widths[c] - TextWidth(cell), ' ');
    const bool last = c + 1 == columns.size();
    const std::string text = last && !whole ? Styled(cell, row.style, color) : cell;
    absl::StrAppend(&line, c == 0 ? "" : "  ", columns[c].left ? "" : padding, text,
                    columns[c].left && !last ? padding : "");
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return (whole ? Styled(line, row.style, color) : line) + "\n";
}

}  // namespace

std::string Styled(const std::string& text, TextStyle style, bool color) {
  if (!color || text.empty()) return text;
  constexpr absl::string_view kCodes[] = {"", "1", "2", "32", "33", "31"};
  const absl::string_view code = kCodes[static_cast<size_t>(style)];
  return code.empty() ? text : absl::StrCat("\033[", code, "m", text, "\033[0m");
}

std::string FormatTable(std::vector<TextColumn> columns, std::vector<TableRow> rows, size_t width,
                        bool color) {
  std::vector<size_t> widths = Widths(columns, rows);
  if (width > 0) {
    std::vector<size_t> least = widths;
    least.front() = std::min(least.front(), kMinFirst);
    least.back() = std::min(least.back(), kMinLast);
    while (Total(least) > width) {
      const size_t c = MostDispensable(columns);
      if (c == columns.size()) break;
      const auto remove = [c](auto& from) { from.erase(from.begin() + static_cast<std::ptrdiff_t>(c)); };
      remove(columns);
      remove(widths);
      remove(least);
      for (TableRow& row : rows) remove(row.cells);
    }
    size_t spare = width - std::min(width, Total(least));
    for (const size_t c : {columns.size() - 1, size_t{0}}) {
      const size_t more = std::min(spare, widths[c] - least[c]);
      least[c] += more;
      spare -= more;
    }
    widths = std::move(least);
    for (TableRow& row : rows) {
      row.cells.front() = ShortenMiddle(row.cells.front(), widths.front());
      row.cells.back() = ShortenEnd(row.cells.back(), widths.back());
    }
  }
  TableRow heading = {.style = TextStyle::kBold};
  for (const TextColumn& column : columns) heading.cells.push_back(column.heading);
  std::string table = Line(columns, widths, heading, color);
  for (const TableRow& row : rows) table += Line(columns, widths, row, color);
  return table;
}

}  // namespace halftone
