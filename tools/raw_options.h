// The flags --dtype and --shape, which describe a raw file.
#ifndef HALFTONE_TOOLS_RAW_OPTIONS_H_
#define HALFTONE_TOOLS_RAW_OPTIONS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/open_array_file.h"

namespace halftone {

// `dtype`: by NameOf's names (io/element_type.h). `shape`: "2x3", "2,3", or as a report prints it, "[2, 3]";
// "[]" is a scalar. Either may be empty: not given. Errors: InvalidArgument, one line that names the flag.
absl::StatusOr<OpenOptions> ParseRawOptions(absl::string_view dtype, absl::string_view shape);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_RAW_OPTIONS_H_
