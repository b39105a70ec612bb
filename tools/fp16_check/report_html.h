// The report as one HTML page that needs nothing else: no network, no other file.
#ifndef HALFTONE_TOOLS_FP16_CHECK_REPORT_HTML_H_
#define HALFTONE_TOOLS_FP16_CHECK_REPORT_HTML_H_

#include <string>

#include "tools/fp16_check/report.h"

namespace halftone {

// A summary; then a table a file, with the formats of a tensor beneath each other and its exponents drawn
// against each format's range. Sorting and filtering take JavaScript, all else does without.
std::string ReportHtml(const Report& report);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_REPORT_HTML_H_
