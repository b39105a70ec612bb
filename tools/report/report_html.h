// The report as one HTML file that needs nothing else.
#ifndef HALFTONE_TOOLS_REPORT_REPORT_HTML_H_
#define HALFTONE_TOOLS_REPORT_REPORT_HTML_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tools/report/plot.h"
#include "tools/report/results.h"
#include "tools/report/summary.h"

namespace halftone::report {

// svgs: of each plot, "" where there is none. notices: shown on top, a line each. Whatever the files hold is
// shown as text.
std::string ReportHtml(const SweepResults& results, const SweepSummary& summary, absl::Span<const Plot> plots,
                       absl::Span<const std::string> svgs, absl::Span<const std::string> notices);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_REPORT_HTML_H_
