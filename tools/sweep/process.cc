#include "tools/sweep/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>  // sigdescr_np
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"

namespace halftone::sweep {
namespace {

sigset_t HeldSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void HoldSignals() {
  const sigset_t held = HeldSignals();
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

bool WaitForSignal(int milliseconds) {
  const sigset_t held = HeldSignals();
  const timespec timeout = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
  const int signal = sigtimedwait(&held, nullptr, &timeout);
  return signal > 0 && signal != SIGCHLD;
}

absl::StatusOr<pid_t> StartSelf(absl::Span<const std::string> arguments, const std::string& log) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const sigset_t held = HeldSignals();
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &held);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  // The path as it was found, for whatever lies beside the program; the program itself by the running one,
  // which may have been replaced on the disk since.
  char self[4096] = "";
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) return ErrnoError("read", "/proc/self/exe");
  std::vector<std::string> texts = {self};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  errno = posix_spawn(&pid, "/proc/self/exe", &files, &attributes, argv.data(), environ);
  const absl::Status status = errno == 0 ? absl::OkStatus() : ErrnoError("start", self);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (!status.ok()) return status;
  return pid;
}

Ended TakeEnded() {
  int status = 0;
  const pid_t pid = waitpid(-1, &status, WNOHANG);
  if (pid <= 0) return {};
  if (WIFSIGNALED(status)) return {.process = pid, .signal = WTERMSIG(status)};
  return {.process = pid, .code = WEXITSTATUS(status)};
}

std::string SignalText(int signal) {
  const char* about = sigdescr_np(signal);
  return absl::StrCat("signal ", signal, about == nullptr ? "" : absl::StrCat(" (", about, ")"));
}

std::string LastLine(const std::string& path) {
  constexpr off_t kEnd = 4096;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char text[kEnd];
  const off_t size = lseek(fd, 0, SEEK_END);
  const ssize_t n = pread(fd, text, sizeof(text), std::max<off_t>(0, size - kEnd));
  close(fd);
  const absl::string_view tail =
      absl::StripTrailingAsciiWhitespace(absl::string_view(text, n > 0 ? static_cast<size_t>(n) : 0));
  const size_t begin = tail.rfind('\n');
  return std::string(begin == absl::string_view::npos ? tail : tail.substr(begin + 1));
}

}  // namespace halftone::sweep
