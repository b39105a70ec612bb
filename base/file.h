// Whole files, and writing that leaves nothing half-written.
#ifndef HALFTONE_BASE_FILE_H_
#define HALFTONE_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// A path as the user typed it: relative paths are relative to where the user stands, also under `bazel run`
// (which starts a program elsewhere and says so in BUILD_WORKING_DIRECTORY).
std::string ResolveUserPath(absl::string_view path);

// A path to read from: the user's if it exists, else the file of that name that the program carries with it
// (its runfiles), so that the default configs and samples are found wherever the user stands.
std::string ResolveInputPath(absl::string_view path);

// The error that errno stands for: "cannot <doing> <path>: <reason>".
absl::Status ErrnoError(absl::string_view doing, absl::string_view path);

absl::StatusOr<int64_t> FileSize(const std::string& path);
// A directory, or one that cannot be read, is an error.
absl::StatusOr<std::string> ReadFile(const std::string& path);
absl::Status MakeDirectories(const std::string& path);

// A file that appears under its name only when it is whole: written to a temporary name beside it, synced,
// renamed. A link stays one, to a file that is replaced; a pipe or a device is written to as it is.
//
//   ASSIGN_OR_RETURN(auto file, AtomicFile::Create(path));
//   RETURN_IF_ERROR(file->Append(bytes));
//   RETURN_IF_ERROR(file->Commit());   // without it, the destructor removes the temporary file
class AtomicFile {
 public:
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  absl::Status Append(absl::string_view bytes);
  absl::Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, std::FILE* file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(file) {}

  std::string path_;
  std::string temporary_;  // empty: written as it is
  std::FILE* file_;
};

// AtomicFile in one call.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);

}  // namespace halftone

#endif  // HALFTONE_BASE_FILE_H_
