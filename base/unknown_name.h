// What is said of a name that no row of a table has.
#ifndef HALFTONE_BASE_UNKNOWN_NAME_H_
#define HALFTONE_BASE_UNKNOWN_NAME_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace halftone {

// unknown model "resnet"; valid: mlp, cnn, resnet18. name_of(row): its name.
template <typename Rows, typename NameOf>
absl::Status UnknownName(absl::string_view what, absl::string_view name, const Rows& rows, NameOf name_of) {
  const auto append = [&](std::string* out, const auto& row) { absl::StrAppend(out, name_of(row)); };
  return absl::InvalidArgumentError(
      absl::StrCat("unknown ", what, " \"", name, "\"; valid: ", absl::StrJoin(rows, ", ", append)));
}

template <typename Rows>
absl::Status UnknownName(absl::string_view what, absl::string_view name, const Rows& rows) {
  return UnknownName(what, name, rows, [](const auto& row) { return row.name; });
}

}  // namespace halftone

#endif  // HALFTONE_BASE_UNKNOWN_NAME_H_
