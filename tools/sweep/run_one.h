// One run of a sweep, in a process of its own: whatever happens to it, the sweep goes on.
#ifndef HALFTONE_TOOLS_SWEEP_RUN_ONE_H_
#define HALFTONE_TOOLS_SWEEP_RUN_ONE_H_

#include <string>

namespace halftone::sweep {

// In the run's folder.
inline constexpr char kRunFile[] =
    "run.textproto";  // what to run; the run's own config.textproto comes from it
inline constexpr char kFactsFile[] = "facts.textproto";  // RunFacts
inline constexpr char kLogFile[] = "log.txt";            // what it says; of a run that fails, the reason last

// Exit codes; killed by a signal is none of them.
enum ExitCode {
  kDone = 0,
  kFailed = 1,
  kDiverged = 4,
  kDiskFull = 5,
  kStopped = 130,  // by SIGTERM, with a checkpoint
};

// Trains as the TrainConfig in this file says: from the checkpoint in run.out if there is one, else from the
// start. Says the reason of a failure in one line on stderr. parent: the process whose end is this one's; 0:
// none.
int RunOne(const std::string& config_file, int parent);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_RUN_ONE_H_
