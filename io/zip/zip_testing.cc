#include "io/zip/zip_testing.h"

#include "base/check.h"
#include "base/file.h"
#include "io/test_files.h"

namespace halftone {

std::string MakeZip(const std::vector<ZipTestEntry>& entries, zip_int32_t method) {
  const std::string path = TempFile("made.zip", "");
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  HALFTONE_CHECK(zip != nullptr);
  for (const ZipTestEntry& e : entries) {
    zip_source_t* source = zip_source_buffer(zip, e.bytes.data(), e.bytes.size(), 0);
    const zip_int64_t index = zip_file_add(zip, e.name.c_str(), source, 0);
    HALFTONE_CHECK(index >= 0 && zip_set_file_compression(zip, index, method, 1) == 0);
  }
  HALFTONE_CHECK(zip_close(zip) == 0);
  return *ReadFile(path);
}

}  // namespace halftone
