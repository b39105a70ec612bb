#include "tools/command_line.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace halftone {

std::vector<std::string> TakeRepeatedFlag(absl::string_view name, int* argc, char** argv) {
  const std::string one = absl::StrCat("-", name), two = absl::StrCat("--", name);
  std::vector<std::string> values;
  int kept = 0;
  for (int i = 0; i < *argc; ++i) {
    absl::string_view argument = argv[i];
    if (argument == "--") {  // what follows are no flags
      while (i < *argc) argv[kept++] = argv[i++];
      break;
    }
    const bool is_flag =
        i > 0 && (absl::ConsumePrefix(&argument, two) || absl::ConsumePrefix(&argument, one));
    if (is_flag && absl::ConsumePrefix(&argument, "=")) {
      values.emplace_back(argument);
    } else if (is_flag && argument.empty() && i + 1 < *argc) {
      values.emplace_back(argv[++i]);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argv[kept] = nullptr;
  *argc = kept;
  return values;
}

int Fail(absl::string_view program, const absl::Status& status) {
  const absl::string_view message = status.message();
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(program.size()), program.data(),
               static_cast<int>(message.size()), message.data());
  return 1;
}

}  // namespace halftone
