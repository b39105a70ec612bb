// What the fuzz targets do with their input: they open it as a file of arrays, read all of it, and stop the
// program where a reader breaks a promise of io/open_array_file.h or io/array_file.h.
#ifndef HALFTONE_IO_FUZZ_CHECK_ARRAY_FILE_H_
#define HALFTONE_IO_FUZZ_CHECK_ARRAY_FILE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "io/open_array_file.h"

namespace halftone {

// A file in a folder of its own, which is removed when the program ends as it should. In memory, unless
// TEST_TMPDIR names a folder.
class FuzzFile {
 public:
  explicit FuzzFile(absl::string_view name);
  ~FuzzFile();
  FuzzFile(const FuzzFile&) = delete;
  FuzzFile& operator=(const FuzzFile&) = delete;

  void Write(absl::string_view bytes);
  const std::string& path() const { return path_; }
  size_t bytes() const { return bytes_; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_, path_;
  int fd_;
  size_t bytes_ = 0;
};

// Opens the file and reads all of it, several ways. A refusal is fine, but for how it is worded.
void CheckArrayFile(const FuzzFile& file, const OpenOptions& options = {});

}  // namespace halftone

#endif  // HALFTONE_IO_FUZZ_CHECK_ARRAY_FILE_H_
