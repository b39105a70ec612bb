// A file that is read at any offset.
//
// By pread, not by a memory map: a file that another program cuts short then gives an error, not a SIGBUS;
// and where what is done with the bytes takes longer than fetching them, a map is no faster.
#ifndef HALFTONE_IO_INPUT_FILE_H_
#define HALFTONE_IO_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace halftone {

// Thread safe.
class InputFile {
 public:
  // Writes some of the bytes that come next to the beginning of `to` and says how many: none at their end.
  using NextBytes = absl::FunctionRef<absl::StatusOr<size_t>(absl::Span<char> to)>;

  // Regular files only.
  static absl::StatusOr<std::unique_ptr<InputFile>> Open(const std::string& path);
  // Also what can only be read from its beginning to its end, by way of Spool: pipes, character devices, and
  // as "-" the standard input, whose path() then is "stdin".
  static absl::StatusOr<std::unique_ptr<InputFile>> OpenOrSpool(const std::string& path);
  // A file of its own that holds the bytes; in $TMPDIR or /tmp, and gone when it is closed. ResourceExhausted
  // when they do not fit there.
  static absl::StatusOr<std::unique_ptr<InputFile>> Spool(const std::string& path, NextBytes next);

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
