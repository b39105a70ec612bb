#include "tools/sweep/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone::sweep {
namespace {

constexpr int kTries = 100;  // of 0.1 s

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

// The holder as it wrote itself down, "<process> on <host>".
std::string ReadHolder(int fd) {
  char text[512];
  const ssize_t n = pread(fd, text, sizeof(text), 0);
  return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
}

// Whether the sweep that wrote itself down is gone for sure, and only its runs may still hold the lock.
bool IsGone(absl::string_view holder) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(holder, absl::MaxSplits(" on ", 1));
  int pid = 0;
  return parts.second == HostName() && absl::SimpleAtoi(parts.first, &pid) && kill(pid, 0) != 0 &&
         errno == ESRCH;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FolderLock>> FolderLock::Take(const std::string& folder) {
  const std::string path = folder + "/.lock";
  // Not closed on exec: see above.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT, 0666);
  if (fd < 0) return ErrnoError("create", path);
  std::unique_ptr<FolderLock> lock(new FolderLock(fd));
  for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoError("lock", path);
    const std::string holder = ReadHolder(fd);
    if (i == kTries || !IsGone(holder)) {
      return absl::FailedPreconditionError(absl::StrCat(folder, " is in use by another sweep",
                                                        holder.empty() ? "" : ", process ", holder,
                                                        "; wait for its end, or choose another out"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const std::string self = absl::StrCat(getpid(), " on ", HostName());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    return ErrnoError("write", path);
  }
  return lock;
}

FolderLock::~FolderLock() { close(fd_); }

}  // namespace halftone::sweep
