#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "io/fuzz/check_array_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static halftone::FuzzFile csv("x.csv");
  static halftone::FuzzFile tsv("x.tsv");
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  csv.Write(bytes);
  halftone::CheckArrayFile(csv);
  tsv.Write(bytes);
  halftone::CheckArrayFile(tsv);
  return 0;
}
