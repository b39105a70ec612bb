// Abseil's flags, with mistakes told as every other one is.
#ifndef HALFTONE_TOOLS_PARSE_FLAGS_H_
#define HALFTONE_TOOLS_PARSE_FLAGS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// The help of a flag that a program keeps to itself.
inline constexpr char kInternalFlag[] = "internal";

// absl::ParseCommandLine, which sets the flags and returns what is none, the program's path first. Before it,
// InvalidArgument for the first flag that is not known: one line that says where those are listed. --help
// lists them with absl::ProgramUsageMessage on stdout, and ends the program with 0.
absl::StatusOr<std::vector<char*>> ParseFlags(absl::string_view program, int argc, char** argv);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_PARSE_FLAGS_H_
