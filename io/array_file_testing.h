// What the tests of every format of array files share.
#ifndef HALFTONE_IO_ARRAY_FILE_TESTING_H_
#define HALFTONE_IO_ARRAY_FILE_TESTING_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/array_file.h"
#include "io/open_array_file.h"

namespace halftone {

// The elements of file.arrays()[index]; every chunk is checked.
std::vector<double> Values(const ArrayFile& file, size_t index);

// Opens the file, reads all there is, and says what is wrong.
absl::Status ReadAll(const std::string& path, const OpenOptions& options = {});

// The message is one short line that begins with the path.
void ExpectOneLine(const absl::Status& status, const std::string& path);

// `name` gives the files their extension; `bytes` is a file without fault.
void ExpectEveryCutRefused(absl::string_view name, const std::string& bytes);
void ExpectNoFlipCrashes(absl::string_view name, const std::string& bytes);

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_FILE_TESTING_H_
