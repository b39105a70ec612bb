// The report as text, for a terminal or a log.
#ifndef HALFTONE_TOOLS_FP16_CHECK_REPORT_TABLE_H_
#define HALFTONE_TOOLS_FP16_CHECK_REPORT_TABLE_H_

#include <cstddef>
#include <string>

#include "tools/fp16_check/report.h"

namespace halftone {

struct TableOptions {
  size_t top = 0;    // the worst so many of each table, worst first; 0: all, in the file's order
  size_t width = 0;  // of the terminal; 0: as wide as need be
  bool color = false;
};

// A table for each file and format, a row for each tensor and one for their totals; where there is more than
// one table, their totals once more beneath each other; the conclusion.
std::string ReportTable(const Report& report, const TableOptions& options);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_REPORT_TABLE_H_
