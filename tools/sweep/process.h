// The processes that a sweep's runs are, and the signals that reach the sweep.
#ifndef HALFTONE_TOOLS_SWEEP_PROCESS_H_
#define HALFTONE_TOOLS_SWEEP_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace halftone::sweep {

// Holds SIGINT, SIGTERM, SIGHUP and SIGCHLD back from here on, so that they arrive in Wait alone. Before
// there is any other thread.
void HoldSignals();

// Until one of them comes, at most so long. True: it asks for an end.
bool WaitForSignal(int milliseconds);

// This program with other arguments, in a process group of its own (Ctrl-C reaches the sweep, which passes it
// on), with stdout and stderr appended to `log` and no signal held back.
absl::StatusOr<pid_t> StartSelf(absl::Span<const std::string> arguments, const std::string& log);

struct Ended {
  pid_t process = 0;  // 0: none has ended
  int code = 0;       // exit code, where signal is 0
  int signal = 0;     // that killed it
};
// One process that has ended since the last call.
Ended TakeEnded();

// "signal 9 (Killed)".
std::string SignalText(int signal);

// The last line of a file that is not empty; empty if there is none.
std::string LastLine(const std::string& path);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_PROCESS_H_
