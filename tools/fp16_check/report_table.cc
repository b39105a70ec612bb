#include "tools/fp16_check/report_table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/fp16_check/text_table.h"
#include "tools/text.h"

namespace halftone {
namespace {

TextStyle StyleOf(Outcome outcome) {
  return outcome == Outcome::kSafe            ? TextStyle::kGood
         : outcome == Outcome::kSafeWithScale ? TextStyle::kWarning
                                              : TextStyle::kBad;
}

std::string FormatName(const Report& report, size_t format) {
  return std::string(NameOf(report.formats[format]));
}

// Of the numbers other than 0; "-" where there are none.
std::string MinText(const NumberStats& numbers) {
  return std::isfinite(numbers.min_magnitude) ? NumberText(numbers.min_magnitude) : "-";
}

std::string MaxText(const NumberStats& numbers) {
  return numbers.finite() > 0 ? NumberText(numbers.max_magnitude) : "-";
}

// The columns that a tensor and a total share. A format overflows or saturates.
void AppendStats(const NumberStats& numbers, const FormatStats& stats, uint64_t saturated,
                 std::vector<std::string>& cells) {
  cells.insert(cells.end(), {MinText(numbers), MaxText(numbers), CountText(numbers.nans),
                             CountText(numbers.infinities), CountText(stats.overflows + saturated),
                             CountText(stats.underflows), CountText(stats.subnormals),
                             NumberText(stats.max_relative_error), NumberText(stats.sqnr_db())});
}

std::vector<TextColumn> StatsColumns(std::string overflow) {
  return {{.heading = "|min|", .dispensable = 7},
          {.heading = "|max|", .dispensable = 2},
          {.heading = "NaN", .dispensable = 3},
          {.heading = "Inf", .dispensable = 3},
          {.heading = std::move(overflow), .dispensable = 1},
          {.heading = "underflow", .dispensable = 1},
          {.heading = "subnormal", .dispensable = 8},
          {.heading = "max rel err", .dispensable = 4},
          {.heading = "SQNR dB", .dispensable = 2}};
}

TableRow TensorRow(const TensorResult& tensor, size_t format, size_t columns) {
  TableRow row;
  row.cells = {Printable(tensor.name), std::string(NameOf(tensor.type)), tensor.shape.ToString()};
  if (!tensor.checked) {
    row.cells.resize(columns - 1);
    row.cells.push_back("not converted");
    row.style = TextStyle::kDim;
    return row;
  }
  const FormatResult& result = tensor.formats[format];
  AppendStats(tensor.numbers, result.stats, result.saturated, row.cells);
  row.cells.push_back(VerdictText(tensor.numbers, result));
  row.style = StyleOf(result.outcome());
  return row;
}

std::string FileTable(const Report& report, const FileResult& file, size_t format,
                      const TableOptions& options) {
  std::vector<size_t> order(file.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::string left_out;
  if (options.top > 0) {
    order = WorstFirst(file, format);
    if (order.size() > options.top) {
      left_out =
          absl::StrCat(" Shown are the worst ", options.top, " of ", Plural(order.size(), "tensor"), ".");
      order.resize(options.top);
    }
  }
  std::vector<TextColumn> columns = {{.heading = "tensor", .left = true},
                                     {.heading = "dtype", .left = true, .dispensable = 6},
                                     {.heading = "shape", .left = true, .dispensable = 5}};
  for (TextColumn& column : StatsColumns(HasScales(report.formats[format]) ? "saturated" : "overflow")) {
    columns.push_back(std::move(column));
  }
  columns.push_back({.heading = "verdict", .left = true});
  std::vector<TableRow> rows;
  for (const size_t t : order) rows.push_back(TensorRow(file.tensors[t], format, columns.size()));

  const Totals totals = TotalsOf(file, format);
  TableRow total = {.cells = {"total", "", Plural(totals.numbers.elements, "number")},
                    .style = TextStyle::kBold};
  AppendStats(totals.numbers, totals.stats, totals.saturated, total.cells);
  total.cells.push_back("");
  rows.push_back(std::move(total));

  const std::string title =
      absl::StrCat(Printable(file.path), " (", file.kind, ") in ", FormatName(report, format));
  return absl::StrCat(Styled(title, TextStyle::kBold, options.color), "\n",
                      FormatTable(std::move(columns), std::move(rows), options.width, options.color),
                      Styled(totals.Text(), StyleOf(totals.worst()), options.color), ".", left_out, "\n\n");
}

TableRow SummaryRow(const std::string& file, const Report& report, size_t format, const Totals& totals) {
  TableRow row = {.cells = {file, FormatName(report, format)}, .style = StyleOf(totals.worst())};
  AppendStats(totals.numbers, totals.stats, totals.saturated, row.cells);
  row.cells.push_back(totals.Text());
  return row;
}

std::string Summary(const Report& report, const TableOptions& options) {
  std::vector<TextColumn> columns = {{.heading = "file", .left = true}, {.heading = "format", .left = true}};
  for (TextColumn& column : StatsColumns("overflow")) columns.push_back(std::move(column));
  columns.push_back({.heading = "tensors", .left = true});
  std::vector<TableRow> rows;
  size_t files = 0;
  for (const FileResult& file : report.files) {
    if (file.tensors.empty()) continue;
    ++files;
    for (size_t f = 0; f < report.formats.size(); ++f) {
      rows.push_back(SummaryRow(Printable(file.path), report, f, TotalsOf(file, f)));
    }
  }
  if (rows.size() < 2) return "";
  for (size_t f = 0; files > 1 && f < report.formats.size(); ++f) {
    rows.push_back(SummaryRow("all files", report, f, TotalsOf(report, f)));
  }
  return absl::StrCat(FormatTable(std::move(columns), std::move(rows), options.width, options.color), "\n");
}

}  // namespace

std::string ReportTable(const Report& report, const TableOptions& options) {
  std::string text;
  for (const FileResult& file : report.files) {
    if (file.tensors.empty()) continue;
    for (size_t f = 0; f < report.formats.size(); ++f) text += FileTable(report, file, f, options);
  }
  text += Summary(report, options);
  const std::string conclusion = Conclusion(report);
  return absl::StrCat(text, "Conclusion: ", conclusion, ".\n");
}

}  // namespace halftone
