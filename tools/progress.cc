#include "tools/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/text.h"

namespace halftone {

FileProgress::FileProgress(std::FILE* to, size_t width, std::function<Time()> now)
    : to_(to), width_(width), now_(std::move(now)) {}

void FileProgress::Start(std::string name) {
  name_ = Printable(name);
  start_ = last_ = now_();
}

void FileProgress::Update(uint64_t done, uint64_t all) {
  const Time now = now_();
  if (now - last_ < std::chrono::milliseconds(width_ > 0 ? 100 : 10000)) return;
  last_ = now;
  const double gigabytes = static_cast<double>(done) * 1e-9;
  const double total = static_cast<double>(all) * 1e-9;
  const double speed = gigabytes / std::chrono::duration<double>(now - start_).count();
  std::string text = absl::StrFormat(": %.1f of %.1f GB, %.1f GB/s", gigabytes, total, speed);
  if (speed > 0) absl::StrAppendFormat(&text, ", %.0f s left", std::ceil((total - gigabytes) / speed));
  if (width_ > 0) {
    // The last column is left free: some terminals go on to the next line after it.
    const size_t room = std::max<size_t>(width_, text.size() + 10) - text.size() - 1;
    std::fprintf(to_, "\r%s%s\033[K", ShortenMiddle(name_, room).c_str(), text.c_str());
    line_ = true;
  } else {
    std::fprintf(to_, "%s%s\n", name_.c_str(), text.c_str());
  }
  std::fflush(to_);
}

void FileProgress::Finish() {
  if (!std::exchange(line_, false)) return;
  std::fputs("\r\033[K", to_);
  std::fflush(to_);
}

size_t TerminalWidth(std::FILE* stream) {
  const int fd = fileno(stream);
  if (isatty(fd) == 0) return 0;
  struct winsize size = {};
  constexpr size_t kUnknown = 80;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUnknown;
}

}  // namespace halftone
