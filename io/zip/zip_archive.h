// Zip archives, read through libzip, that strangers may have made.
#ifndef HALFTONE_IO_ZIP_ZIP_ARCHIVE_H_
#define HALFTONE_IO_ZIP_ZIP_ARCHIVE_H_

#include <zip.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/input_file.h"

namespace halftone {

// Not thread safe; keeps the file open. Errors, of one line that names the file: DataLoss, Unimplemented
// (encryption, methods other than stored and deflated), and what the file system says.
class ZipArchive {
 public:
  struct Entry {
    std::string name;  // no two of one name
    uint64_t bytes;    // unpacked
    bool stored;       // as it is, not compressed
  };

  // An entry's bytes, one after the other. Must not outlive the archive.
  class Reader {
   public:
    // Fills `to` with the bytes that come next.
    absl::Status Read(absl::Span<char> to);
    // Some of them to the beginning of `to`: none at the end, which the checksum must confirm.
    absl::StatusOr<size_t> ReadSome(absl::Span<char> to);
    // That there are no more, and that the checksum is right.
    absl::Status Finish();

   private:
    friend class ZipArchive;
    struct Close {
      void operator()(zip_file_t* entry) const { zip_fclose(entry); }
    };

    Reader(std::string who, zip_file_t* entry) : who_(std::move(who)), entry_(entry) {}

    std::string who_;
    std::unique_ptr<zip_file_t, Close> entry_;
  };

  static absl::StatusOr<bool> IsZip(const InputFile& file);  // by its first bytes
  // Checks what the archive's directory says. No entry unpacks to more than 1032 times its packed bytes, and
  // no two entries share bytes.
  static absl::StatusOr<std::unique_ptr<ZipArchive>> Open(std::unique_ptr<InputFile> file);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  const InputFile& file() const { return *file_; }
  const std::vector<Entry>& entries() const { return entries_; }
  std::string Describe(size_t index) const;  // "<path>: entry "<name>"", for errors

  absl::StatusOr<Reader> OpenEntry(size_t index);
  absl::StatusOr<std::string> ReadAll(size_t index);
  // Where in the file the bytes of an entry lie that is stored.
  absl::StatusOr<uint64_t> OffsetOf(size_t index);
  // The file alone, once no entry is to be read any more.
  static std::unique_ptr<InputFile> ReleaseFile(std::unique_ptr<ZipArchive> archive);

 private:
  explicit ZipArchive(std::unique_ptr<InputFile> file) : file_(std::move(file)) {}

  static zip_int64_t Serve(void* archive, void* data, zip_uint64_t length, zip_source_cmd_t command);
  absl::Status OpenDirectory();
  absl::Status AddEntry(size_t index, uint64_t* packed);

  std::unique_ptr<InputFile> file_;
  uint64_t at_ = 0;  // where libzip stands in the file
  zip_error_t error_ = {};
  zip_t* zip_ = nullptr;
  std::vector<Entry> entries_;
};

}  // namespace halftone

#endif  // HALFTONE_IO_ZIP_ZIP_ARCHIVE_H_
