// A line on the terminal that says how far a long piece of work has come.
#ifndef HALFTONE_TOOLS_CONVERT_PROGRESS_H_
#define HALFTONE_TOOLS_CONVERT_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace halftone {

// "checking: 42%, 1.31 GB/s, 12 s left" on stderr, a few times a second, overwritten each time and at last
// wiped out. Nothing where stderr is no terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // A new `doing` starts the clock again.
  void Show(absl::string_view doing, uint64_t done, uint64_t all);

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_;
  std::string doing_;
  Clock::time_point start_, shown_;
};

}  // namespace halftone

#endif  // HALFTONE_TOOLS_CONVERT_PROGRESS_H_
