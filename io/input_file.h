// A file that is read at any offset.
//
// By pread, not by a memory map: a file that another program cuts short then gives an error, not a SIGBUS.
#ifndef HALFTONE_IO_INPUT_FILE_H_
#define HALFTONE_IO_INPUT_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace halftone {

// Thread safe.
class InputFile {
 public:
  // Regular files only.
  static absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // Fills `to` with the bytes from `offset` on.
  absl::Status ReadAt(uint64_t offset, absl::Span<char> to) const;

 private:
  InputFile(std::string path, int fd, uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_;
  uint64_t size_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_INPUT_FILE_H_
