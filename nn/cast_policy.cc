#include "nn/cast_policy.h"

namespace halftone::nn {

bool MatchesPath(absl::string_view pattern, absl::string_view path) {
  size_t p = 0, t = 0;
  // Where the last star stands, and how much it has swallowed: enough to go back to, for an earlier star need
  // not take more.
  size_t star = absl::string_view::npos, swallowed = 0;
  while (t < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      swallowed = t;
    } else if (p < pattern.size() && pattern[p] == path[t]) {
      ++p, ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++swallowed;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace halftone::nn
