// Which arrays of a file a command is about: --include (or --tensor) and --exclude.
#ifndef HALFTONE_TOOLS_NAME_FILTER_H_
#define HALFTONE_TOOLS_NAME_FILTER_H_

#include <regex.h>

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// Thread safe.
class NameFilter {
 public:
  NameFilter() = default;  // every name matches

  // POSIX extended regular expressions, case-sensitive; an empty one stands for none. InvalidArgument: not
  // one; the message names the flag, of which the first is called `include_flag`.
  static absl::StatusOr<NameFilter> Create(absl::string_view include, absl::string_view exclude,
                                           absl::string_view include_flag = "include");

  // Whether `include` matches anywhere in the name, as grep does, or there is none, and `exclude` does not.
  bool Matches(absl::string_view name) const;

 private:
  using Regex = std::shared_ptr<const regex_t>;  // null: none

  NameFilter(Regex include, Regex exclude) : include_(std::move(include)), exclude_(std::move(exclude)) {}
  static absl::StatusOr<Regex> Compile(absl::string_view flag, absl::string_view pattern);

  Regex include_, exclude_;
};

}  // namespace halftone

#endif  // HALFTONE_TOOLS_NAME_FILTER_H_
