#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

absl::Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoError("open", directory);
  const int failed = fsync(fd);
  const int error = errno;
  close(fd);
  // Some file systems cannot sync a directory; the rename still holds.
  if (failed && error != EINVAL && error != ENOTSUP) {
    errno = error;
    return ErrnoError("sync", directory);
  }
  return absl::OkStatus();
}

}  // namespace

std::string ResolveUserPath(absl::string_view path) {
  const char* from = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path[0] == '/' || from == nullptr) return std::string(path);
  return absl::StrCat(from, "/", path);
}

std::string ResolveInputPath(absl::string_view path) {
  std::string theirs = ResolveUserPath(path);
  std::error_code ignored;
  if (path.empty() || path[0] == '/' || std::filesystem::exists(theirs, ignored)) return theirs;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  std::string carried = absl::StrCat(self.string(), ".runfiles/halftone/", path);
  return std::filesystem::exists(carried, ignored) ? carried : theirs;
}

absl::Status ErrnoError(absl::string_view doing, absl::string_view path) {
  const int error = errno;
  const std::string text = absl::StrCat("cannot ", doing, " ", path, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

absl::StatusOr<int64_t> FileSize(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoError("open", path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  return info.st_size;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t size, FileSize(path));
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return ErrnoError("open", path);
  std::string bytes(size, '\0');
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file);
  const bool failed = std::ferror(file) != 0;
  const absl::Status error = failed ? ErrnoError("read", path) : absl::OkStatus();
  std::fclose(file);
  if (failed) return error;
  if (got != bytes.size())
    return absl::DataLossError(absl::StrCat(path, " became shorter while it was read"));
  return bytes;
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    errno = error.value();
    return ErrnoError("create", path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  // What a shell has redirected is not to be replaced under its feet.
  const bool redirected =
      path == "/dev/stdout" || path == "/dev/stderr" || absl::StartsWith(path, "/dev/fd/");
  const fs::path linked = redirected ? fs::path() : fs::canonical(path, ignored);
  const std::string target = linked.empty() ? path : linked.string();
  const fs::file_status status = fs::status(target, ignored);
  if (fs::is_directory(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is a folder; expected the name of a file to write"));
  }
  const bool as_it_is = redirected || (fs::exists(status) && !fs::is_regular_file(status));
  std::string temporary = as_it_is ? "" : absl::StrCat(target, ".tmp", getpid());
  std::FILE* file = std::fopen(as_it_is ? target.c_str() : temporary.c_str(), as_it_is ? "abe" : "wbe");
  if (file == nullptr) return ErrnoError("create", path);
  return std::unique_ptr<AtomicFile>(new AtomicFile(target, std::move(temporary), file));
}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status AtomicFile::Append(absl::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return ErrnoError("write", path_);
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  if (temporary_.empty()) {
    const bool written = std::fflush(file_) == 0;
    const absl::Status status = written ? absl::OkStatus() : ErrnoError("write", path_);
    std::fclose(std::exchange(file_, nullptr));
    return status;
  }
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) return ErrnoError("write", path_);
  std::FILE* file = std::exchange(file_, nullptr);
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const absl::Status status = ErrnoError("write", path_);
    unlink(temporary_.c_str());
    return status;
  }
  return SyncDirectoryOf(path_);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file->Append(bytes));
  return file->Commit();
}

}  // namespace halftone
