#include "tools/report/write_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/report/gnuplot.h"
#include "tools/report/plot.h"
#include "tools/report/report_html.h"
#include "tools/report/results.h"
#include "tools/report/summary.h"
#include "tools/report/summary_tables.h"
#include "tools/text.h"

namespace halftone::report {

absl::StatusOr<WrittenReport> WriteReport(const std::string& folder) {
  const absl::string_view stem = absl::StripSuffix(folder, "/");
  ASSIGN_OR_RETURN(const SweepResults results, ReadSweepResults(folder));
  const SweepSummary summary = Summarize(results);
  const std::vector<Plot> plots = MakePlots(results, summary);
  ASSIGN_OR_RETURN(const Drawing drawing, DrawPlots(plots, absl::StrCat(stem, "/plots")));
  WrittenReport report = {.html = absl::StrCat(stem, "/report.html")};
  for (const std::vector<std::string>* warnings : {&results.warnings, &drawing.warnings}) {
    for (const std::string& warning : *warnings) report.warnings.push_back(Printable(warning));
  }
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(stem, "/summary.md"), SummaryMarkdown(results, summary)));
  RETURN_IF_ERROR(
      WriteFileAtomically(report.html, ReportHtml(results, summary, plots, drawing.svgs, report.warnings)));
  return report;
}

}  // namespace halftone::report
