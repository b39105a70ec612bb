#include "tools/name_filter.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

// glibc's matcher takes time and memory that grow quickly with a pattern of many repetitions ("a{9999}").
constexpr size_t kMaxPattern = 1000;

// REG_STARTEND (in glibc and the BSDs) takes the name's length, so that a name may hold a NUL.
bool Found(const regex_t& regex, absl::string_view name) {
  regmatch_t range = {.rm_so = 0, .rm_eo = static_cast<regoff_t>(name.size())};
  return regexec(&regex, name.data(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace

absl::StatusOr<NameFilter::Regex> NameFilter::Compile(absl::string_view flag, absl::string_view pattern) {
  if (pattern.empty()) return Regex();
  const auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", pattern.substr(0, 100),
                                                   pattern.size() > 100 ? "..." : "",
                                                   " is not a POSIX extended regular expression: ", why));
  };
  if (pattern.size() > kMaxPattern) {
    return refuse(absl::StrCat("it is longer than ", kMaxPattern, " characters"));
  }
  auto regex = std::make_unique<regex_t>();
  const int error = regcomp(regex.get(), std::string(pattern).c_str(), REG_EXTENDED);
  if (error != 0) {
    char why[200];
    regerror(error, regex.get(), why, sizeof(why));
    return refuse(why);
  }
  return Regex(regex.release(), [](regex_t* compiled) {
    regfree(compiled);
    delete compiled;
  });
}

absl::StatusOr<NameFilter> NameFilter::Create(absl::string_view include, absl::string_view exclude,
                                              absl::string_view include_flag) {
  ASSIGN_OR_RETURN(Regex included, Compile(include_flag, include));
  ASSIGN_OR_RETURN(Regex excluded, Compile("exclude", exclude));
  return NameFilter(std::move(included), std::move(excluded));
}

bool NameFilter::Matches(absl::string_view name) const {
  if (include_ != nullptr && !Found(*include_, name)) return false;
  return exclude_ == nullptr || !Found(*exclude_, name);
}

}  // namespace halftone
