// The report of a sweep's folder, written into that folder.
#ifndef HALFTONE_TOOLS_REPORT_WRITE_REPORT_H_
#define HALFTONE_TOOLS_REPORT_WRITE_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace halftone::report {

struct WrittenReport {
  std::string html;                   // the path of report.html
  std::vector<std::string> warnings;  // damaged rows, no gnuplot, ...: a printable line each
};

// Reads <folder>/final_results.csv and what is beside it (see results.h); writes report.html, summary.md and
// plots/. Errors, in one line: no folder, no results, other columns, no row, cannot be written. Without
// gnuplot, or where it fails, there is a warning and a report without pictures.
absl::StatusOr<WrittenReport> WriteReport(const std::string& folder);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_WRITE_REPORT_H_
