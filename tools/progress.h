// How far the reading of a long file has come.
#ifndef HALFTONE_TOOLS_PROGRESS_H_
#define HALFTONE_TOOLS_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

namespace halftone {

// On a terminal one line, written anew at most ten times a second and erased at the end. Elsewhere, in a log,
// a line every ten seconds, so that nothing is written about short files.
class FileProgress {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `width`: of the terminal; 0: none. `to` must outlive it.
  FileProgress(std::FILE* to, size_t width, std::function<Time()> now = std::chrono::steady_clock::now);

  void Start(std::string name);              // the file's
  void Update(uint64_t done, uint64_t all);  // bytes
  void Finish();

 private:
  std::FILE* to_;
  size_t width_;
  std::function<Time()> now_;
  std::string name_;
  Time start_, last_;
  bool line_ = false;  // the terminal shows one
};

// Of the terminal that the stream writes to, in columns; 0 where it writes to none.
size_t TerminalWidth(std::FILE* stream);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_PROGRESS_H_
