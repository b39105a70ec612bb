// Tables of comma-separated values with text in them, as spreadsheets and pandas write them.
#ifndef HALFTONE_TOOLS_REPORT_CSV_H_
#define HALFTONE_TOOLS_REPORT_CSV_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace halftone::report {

struct CsvRow {
  size_t line = 0;  // from 1
  std::vector<std::string> fields;
};

struct Csv {
  std::vector<CsvRow> rows;  // empty lines are left out
  // The last line does not end: its writer was stopped in the middle of it, and no one can tell which digits
  // are missing. It is not among the rows. 0: none such.
  size_t cut_line = 0;
};

// RFC 4180, with one difference: a line's end is a row's end inside quotes too, so that whatever is wrong
// with a row (a quote that is never closed) spoils that row alone. Any bytes are a table of some kind.
Csv ParseCsv(absl::string_view bytes);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_CSV_H_
