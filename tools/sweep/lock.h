// One sweep a folder.
#ifndef HALFTONE_TOOLS_SWEEP_LOCK_H_
#define HALFTONE_TOOLS_SWEEP_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace halftone::sweep {

// Held while it lives, and by the processes that are started meanwhile: a sweep that was killed leaves the
// folder to the next one when the last of its runs is gone.
class FolderLock {
 public:
  // Of <folder>/.lock. Waits for the runs of a sweep that is gone; a sweep that is not gone is an error.
  static absl::StatusOr<std::unique_ptr<FolderLock>> Take(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_LOCK_H_
