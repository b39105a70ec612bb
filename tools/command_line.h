// What every binary's command line shares.
#ifndef HALFTONE_TOOLS_COMMAND_LINE_H_
#define HALFTONE_TOOLS_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// Takes every --name=VALUE and --name VALUE out of the arguments, in order: Abseil's flags keep only the last
// one.
std::vector<std::string> TakeRepeatedFlag(absl::string_view name, int* argc, char** argv);

// Prints "<program>: <message>" to stderr. Returns the exit code, 1.
int Fail(absl::string_view program, const absl::Status& status);

// Prints what `make` gives to stdout. Returns the exit code: 0; 1 after a line on stderr, where it gives an
// error, where memory has run out (`advice`: "lower --batch_size"), or where stdout cannot be written.
int PrintResult(absl::string_view program, absl::string_view advice,
                absl::FunctionRef<absl::StatusOr<std::string>()> make);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_COMMAND_LINE_H_
