#include "tools/command_line.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tensor/allocator.h"

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

int PrintResult(absl::string_view program, absl::string_view advice,
                absl::FunctionRef<absl::StatusOr<std::string>()> make) try {
  const absl::StatusOr<std::string> text = make();
  if (!text.ok()) return Fail(program, text.status());
  if (std::fwrite(text->data(), 1, text->size(), stdout) == text->size() && std::fflush(stdout) == 0)
    return 0;
  return Fail(program, absl::UnavailableError(
                           absl::StrCat("the standard output cannot be written: ", std::strerror(errno))));
} catch (const OutOfMemory& error) {
  return Fail(program, absl::ResourceExhaustedError(error.what()));
} catch (const std::bad_alloc&) {
  return Fail(program, absl::ResourceExhaustedError(absl::StrCat("out of memory; ", advice)));
}

}  // namespace halftone
