#include "train/records/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace halftone {

using std::chrono::steady_clock;

Progress::Progress(std::FILE* out, double log_seconds)
    : out_(out),
      terminal_(isatty(fileno(out)) != 0),
      interval_(std::chrono::duration_cast<steady_clock::duration>(
          std::chrono::duration<double>(terminal_ ? 0.1 : log_seconds))),
      last_(steady_clock::now() - (terminal_ ? interval_ : steady_clock::duration::zero())) {}

bool Progress::Due() {
  const steady_clock::time_point now = steady_clock::now();
  if (now - last_ < interval_) return false;
  last_ = now;
  return true;
}

void Progress::Show(absl::string_view text) {
  Clear();
  std::fprintf(out_, terminal_ ? "%.*s" : "%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(out_);
  shown_ = terminal_;
}

void Progress::Line(absl::string_view text) {
  Clear();
  std::fprintf(out_, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(out_);
}

void Progress::Clear() {
  if (shown_) std::fputs("\r\x1b[K", out_);
  shown_ = false;
}

std::string HumanSeconds(double seconds) {
  const auto s = static_cast<long long>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  if (s < 60) return absl::StrCat(s, " s");
  if (s < 3600) return absl::StrCat(s / 60, " min ", s % 60, " s");
  return absl::StrCat(s / 3600, " h ", s / 60 % 60, " min");
}

}  // namespace halftone
