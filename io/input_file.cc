#include "io/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

std::string SpoolFolder() {
  const char* folder = std::getenv("TMPDIR");
  return folder == nullptr || *folder == '\0' ? "/tmp" : folder;
}

absl::Status Write(const std::string& path, int fd, absl::Span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      return absl::ResourceExhaustedError(absl::StrCat(path, ": no room for a copy of it in ", SpoolFolder(),
                                                       "; name a folder with more room by TMPDIR"));
    }
    if (wrote < 0) return ErrnoError("write a temporary file in", SpoolFolder());
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Open(const std::string& path) {
  // O_NONBLOCK: a pipe must not make open() wait for its other end; on a regular file it has no effect.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoError("open", path);
  auto file = std::unique_ptr<InputFile>(new InputFile(path, fd, 0));
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoError("open", path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  file->size_ = static_cast<uint64_t>(info.st_size);
  return file;
}

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::OpenOrSpool(const std::string& path) {
  const bool standard = path == "-";
  const std::string name = standard ? "stdin" : path;
  struct stat info;
  const bool known = (standard ? fstat(STDIN_FILENO, &info) : stat(path.c_str(), &info)) == 0;
  const bool stream = known && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode) || S_ISSOCK(info.st_mode));
  if (!standard && !stream) return Open(path);
  if (standard && known && S_ISDIR(info.st_mode)) return absl::InvalidArgumentError("stdin is not a file");

  const int fd =
      standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError("open", name);
  auto file = std::unique_ptr<InputFile>(new InputFile(name, fd, 0));
  if (S_ISREG(info.st_mode) && lseek(fd, 0, SEEK_CUR) == 0) {  // program < file
    file->size_ = static_cast<uint64_t>(info.st_size);
    return file;
  }
  return Spool(name, [&](absl::Span<char> to) -> absl::StatusOr<size_t> {
    ssize_t got;
    do {
      got = read(fd, to.data(), to.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return ErrnoError("read", name);
    return static_cast<size_t>(got);
  });
}

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Spool(const std::string& path, NextBytes next) {
  std::string temporary = SpoolFolder() + "/halftone-XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoError("make a temporary file in", SpoolFolder());
  auto file = std::unique_ptr<InputFile>(new InputFile(path, fd, 0));
  if (unlink(temporary.c_str()) != 0) return ErrnoError("remove", temporary);
  std::vector<char> buffer(256 << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const size_t got, next(absl::MakeSpan(buffer)));
    if (got == 0) return file;
    RETURN_IF_ERROR(Write(path, fd, absl::MakeConstSpan(buffer).first(got)));
    file->size_ += got;
  }
}

InputFile::~InputFile() { close(fd_); }

absl::Status InputFile::ReadAt(uint64_t offset, absl::Span<char> to) const {
  while (!to.empty()) {
    const ssize_t got = pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read", path_);
    if (got == 0) return absl::DataLossError(absl::StrCat(path_, " became shorter while it was read"));
    offset += static_cast<uint64_t>(got);
    to.remove_prefix(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

}  // namespace halftone
