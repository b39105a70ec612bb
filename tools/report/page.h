// The parts of report.html that do not depend on what was measured.
#ifndef HALFTONE_TOOLS_REPORT_PAGE_H_
#define HALFTONE_TOOLS_REPORT_PAGE_H_

#include "absl/strings/string_view.h"

namespace halftone::report {

absl::string_view ReportPageStyle();   // CSS
absl::string_view ReportPageScript();  // JavaScript: the tables of runs and epochs; the rest works without

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_PAGE_H_
