#include "tools/parse_flags.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace halftone {
namespace {

// A bool may be turned off as --noNAME, and its value never stands in the argument behind it.
const absl::CommandLineFlag* FindFlag(absl::string_view name) {
  if (const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name)) return flag;
  if (!absl::ConsumePrefix(&name, "no")) return nullptr;
  const absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
  return flag != nullptr && flag->IsOfType<bool>() ? flag : nullptr;
}

// The program's own, not its libraries'; of what it is for, and without those that it keeps to itself.
std::string Help(absl::string_view program) {
  std::map<std::string, std::string> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!absl::StrContains(flag->Filename(), "tools/") || flag->Help() == kInternalFlag) continue;
    flags[std::string(name)] =
        absl::StrCat("  --", name, "  ", flag->Help(),
                     " (default: ", flag->DefaultValue().empty() ? "none" : flag->DefaultValue(), ")\n");
  }
  std::string text = absl::StrCat(program, " ", absl::ProgramUsageMessage(), "\n\n");
  for (const auto& [name, line] : flags) absl::StrAppend(&text, line);
  return text;
}

}  // namespace

absl::StatusOr<std::vector<char*>> ParseFlags(absl::string_view program, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view name = argv[i];
    if (name == "--") break;  // what follows are no flags
    if (name.size() < 2 || !absl::ConsumePrefix(&name, "-")) continue;
    absl::ConsumePrefix(&name, "-");
    const size_t equals = name.find('=');
    name = name.substr(0, equals);
    if (name == "help") {
      std::fputs(Help(program).c_str(), stdout);
      std::exit(std::fflush(stdout) == 0 ? 0 : 1);
    }
    const absl::CommandLineFlag* flag = FindFlag(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag --", name, "; ", program, " --help lists the flags"));
    }
    if (equals == absl::string_view::npos && !flag->IsOfType<bool>()) ++i;  // its value
  }
  return absl::ParseCommandLine(argc, argv);
}

}  // namespace halftone
