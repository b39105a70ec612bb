#include "datasets/data_file.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace halftone {

absl::StatusOr<std::string> ReadDataFile(const std::string& path, absl::string_view expected) {
  const absl::StatusOr<int64_t> size = FileSize(path);
  if (absl::IsNotFound(size.status())) {
    if (FileSize(path + ".gz").ok()) {
      return absl::NotFoundError(
          absl::StrCat(path, " (", expected, ") is there only compressed: run gunzip on ", path, ".gz"));
    }
    return absl::NotFoundError(absl::StrCat("there is no ", path, " (", expected,
                                            "): put it there, or name the folder that has it"));
  }
  if (!size.ok()) {
    return absl::Status(size.status().code(), absl::StrCat(size.status().message(), "; expected ", expected));
  }
  if (*size == 0) {
    return DamagedFileError(path, absl::StrCat("the file is empty, expected ", expected));
  }
  if (*size > kMaxDataFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file has ", *size, " bytes, expected ",
                                                   expected, " in at most ", kMaxDataFileBytes,
                                                   "; check what it is"));
  }
  return ReadFile(path);
}

absl::Status DamagedFileError(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", what, "; the file is damaged or of another kind: get it again"));
}

}  // namespace halftone
