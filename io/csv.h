// Tables of numbers as text.
#ifndef HALFTONE_IO_CSV_H_
#define HALFTONE_IO_CSV_H_

#include <memory>

#include "absl/status/statusor.h"
#include "io/array_file.h"
#include "io/input_file.h"

namespace halftone {

// The longest line that is read, its end included.
inline constexpr size_t kMaxCsvLine = 1 << 20;

// One float64 array [rows, columns]. Every field is a number as strtod takes it in the C locale, nan and inf
// too, perhaps in double quotes, with spaces around it; one beyond a double's range is an infinity. A first
// line none of whose fields is a number is a heading and skipped, as are lines that are empty or begin with
// #. Lines end in \n or \r\n; UTF-8's byte order mark is skipped. Opening reads the whole file once, to count
// the rows and to check every field. Errors: as OpenArrayFile, with the line's number, from 1.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenCsv(std::unique_ptr<InputFile> file, char separator);

}  // namespace halftone

#endif  // HALFTONE_IO_CSV_H_
