// Zip archives for tests.
#ifndef HALFTONE_IO_ZIP_ZIP_TESTING_H_
#define HALFTONE_IO_ZIP_ZIP_TESTING_H_

#include <zip.h>

#include <string>
#include <vector>

namespace halftone {

struct ZipTestEntry {
  std::string name;
  std::string bytes;
};

// An archive of these entries, as its bytes; ZIP_CM_DEFLATE is at level 1, as the best level takes seconds.
std::string MakeZip(const std::vector<ZipTestEntry>& entries, zip_int32_t method);

}  // namespace halftone

#endif  // HALFTONE_IO_ZIP_ZIP_TESTING_H_
