// fp16_check's command line.
#ifndef HALFTONE_TOOLS_FP16_CHECK_COMMAND_H_
#define HALFTONE_TOOLS_FP16_CHECK_COMMAND_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/open_array_file.h"
#include "tools/fp16_check/check_file.h"

namespace halftone {

struct Command {
  bool help = false;  // then all else is as it happens to be
  std::vector<std::string> files;
  CheckOptions check;
  OpenOptions open;
  size_t top = 0;  // 0: all
  bool on_gpu = false;
  std::string json, html;  // paths, empty for none; json may be "-"
};

// Errors are InvalidArgument, one line that names the flag. Not by Abseil's flags, which end the program with
// 1 where one is wrong: that means "unsafe" here.
absl::StatusOr<Command> ParseCommand(int argc, char** argv);

absl::string_view CommandUsage();  // what --help prints

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_COMMAND_H_
