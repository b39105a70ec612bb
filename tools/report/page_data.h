// The tables of runs and epochs as the page's script reads them.
#ifndef HALFTONE_TOOLS_REPORT_PAGE_DATA_H_
#define HALFTONE_TOOLS_REPORT_PAGE_DATA_H_

#include <cstddef>
#include <string>

#include "tools/report/results.h"
#include "tools/report/summary.h"

namespace halftone::report {

// Epochs that the page holds; the CSV has all.
inline constexpr size_t kMaxPageEpochs = 100000;

// JSON, safe inside a <script> element whatever the files hold:
//   {"runs": TABLE, "epochs": TABLE, "lines": ["model {", ...], "configs": [[0, 1, ...], ...]}
// A TABLE is a list of columns: {"id", "title", "values": [text, ...], "rows": [index of values, ...]} or
// {"id", "title", "kind", "rows": [number or null, ...]}; kind: "percent", "ratio", "count", "number".
// configs: of each run the numbers of its lines, which runs share; empty where none is known.
std::string PageData(const SweepResults& results, const SweepSummary& summary);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_PAGE_DATA_H_
