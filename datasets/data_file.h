// What every data set's reader needs: a whole file, or the one line that says what to do about it.
#ifndef HALFTONE_DATASETS_DATA_FILE_H_
#define HALFTONE_DATASETS_DATA_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// Larger files are refused unread: the largest official file of any data set here has 153 MB.
inline constexpr int64_t kMaxDataFileBytes = int64_t{1} << 30;

// expected: what the file should be, for the message: "the training images of MNIST". Neither a missing file,
// nor an empty one, nor one above kMaxDataFileBytes is read.
absl::StatusOr<std::string> ReadDataFile(const std::string& path, absl::string_view expected);

// An InvalidArgumentError "<path>: <what>; ...", which goes on to tell the user to get the file again.
absl::Status DamagedFileError(absl::string_view path, absl::string_view what);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_DATA_FILE_H_
