// The report as JSON. The schema is in docs/safety.md; whoever changes what a field means counts
// kReportVersion up.
#ifndef HALFTONE_TOOLS_FP16_CHECK_REPORT_JSON_H_
#define HALFTONE_TOOLS_FP16_CHECK_REPORT_JSON_H_

#include <string>

#include "tools/fp16_check/report.h"

namespace halftone {

inline constexpr int kReportVersion = 1;

// Two spaces an indent, a newline at the end; always valid JSON in UTF-8: infinities are the strings
// "Infinity" and "-Infinity", what does not exist is null, bytes that are not UTF-8 become U+FFFD.
std::string ReportJson(const Report& report);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_REPORT_JSON_H_
