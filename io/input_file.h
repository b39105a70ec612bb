// A file that is read at any offset.
//
// By pread: a file that another program cuts short meanwhile then gives an error. Where speed matters more,
// by a memory map, where that is a SIGBUS.
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

// Bytes of a file in memory as long as this lives.
class MappedBytes {
 public:
  MappedBytes(MappedBytes&& other) noexcept
      : pages_(std::exchange(other.pages_, nullptr)), length_(other.length_), bytes_(other.bytes_) {}
  MappedBytes& operator=(MappedBytes&&) = delete;
  ~MappedBytes();

  absl::Span<const char> bytes() const { return bytes_; }

 private:
  friend class InputFile;
  MappedBytes(void* pages, size_t length, absl::Span<const char> bytes)
      : pages_(pages), length_(length), bytes_(bytes) {}

  void* pages_;
  size_t length_;
  absl::Span<const char> bytes_;
};

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

  // Whether those who read much of the file should do so by Map.
  void PreferMap(bool prefer) { prefers_map_ = prefer; }
  bool prefers_map() const { return prefers_map_; }

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // Fills `to` with the bytes from `offset` on.
  absl::Status ReadAt(uint64_t offset, absl::Span<char> to) const;
  // The bytes [offset, offset + size), size > 0, which are within size().
  absl::StatusOr<MappedBytes> Map(uint64_t offset, size_t size) const;

 private:
  InputFile(std::string path, int fd, uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_;
  uint64_t size_;
  bool prefers_map_ = false;
};

}  // namespace halftone

#endif  // HALFTONE_IO_INPUT_FILE_H_
