#include "tools/convert_progress.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_format.h"

namespace halftone {

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO)) {}

// "\33[K": to the end of the line.
ProgressLine::~ProgressLine() {
  if (!doing_.empty()) absl::FPrintF(stderr, "\r\33[K");
}

void ProgressLine::Show(absl::string_view doing, uint64_t done, uint64_t all) {
  if (!terminal_ || all == 0) return;
  const Clock::time_point now = Clock::now();
  if (doing != doing_) {
    doing_ = std::string(doing);
    start_ = shown_ = now;
  }
  if (now - shown_ < std::chrono::milliseconds(200)) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(done) / seconds;
  const double left = rate > 0 ? static_cast<double>(all - done) / rate : 0;
  absl::FPrintF(stderr, "\r%s: %.0f%%, %.2f GB/s, %.0f s left\33[K", doing_,
                100 * static_cast<double>(done) / static_cast<double>(all), rate / 1e9, left);
}

}  // namespace halftone
