// Progress of long work: a line that redraws itself on a terminal, plain lines now and then in a log.
#ifndef HALFTONE_TRAIN_RECORDS_PROGRESS_H_
#define HALFTONE_TRAIN_RECORDS_PROGRESS_H_

#include <chrono>
#include <cstdio>
#include <string>

#include "absl/strings/string_view.h"

namespace halftone {

class Progress {
 public:
  // Writes to `out`, which stays the caller's. A log gets a line every `log_seconds` at most.
  explicit Progress(std::FILE* out, double log_seconds = 10);
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The state of things; may be called as often as one likes, and shows it when it is time.
  template <typename MakeText>
  void Update(MakeText make_text) {
    if (Due()) Show(make_text());
  }
  // Something to keep: a line of its own.
  void Line(absl::string_view text);

 private:
  bool Due();
  void Show(absl::string_view text);
  void Clear();

  std::FILE* out_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::duration interval_;
  std::chrono::steady_clock::time_point last_;
};

// "12 s", "3 min 20 s", "2 h 5 min".
std::string HumanSeconds(double seconds);

}  // namespace halftone

#endif  // HALFTONE_TRAIN_RECORDS_PROGRESS_H_
