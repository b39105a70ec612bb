// Tables of comma-separated values with text in them (RFC 4180), as spreadsheets and pandas write them.
#ifndef HALFTONE_TOOLS_RESULTS_CSV_H_
#define HALFTONE_TOOLS_RESULTS_CSV_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace halftone {

// One line, without its end: fields with a comma or a quote are quoted, line breaks become spaces.
std::string CsvLine(absl::Span<const std::string> fields);

struct CsvRow {
  size_t line = 0;  // from 1
  size_t end = 0;   // bytes of the file up to and with this row
  std::vector<std::string> fields;
  std::string flaw;  // what is wrong with the quotes; "" if nothing is
};

struct Csv {
  std::vector<CsvRow> rows;  // empty lines are left out
  // The last line, if it does not end: its writer was stopped in the middle of it, and no one can tell which
  // digits are missing. It is not among the rows.
  std::string cut;
  size_t cut_line = 0;  // 0: none such
};

// RFC 4180, with one difference: a line's end is a row's end inside quotes too, so that whatever is wrong
// with a row (a quote that is never closed) spoils that row alone. Any bytes are a table of some kind.
Csv ParseCsv(absl::string_view bytes);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_RESULTS_CSV_H_
