#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "io/fuzz/check_array_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static halftone::FuzzFile file("x");
  file.Write(absl::string_view(reinterpret_cast<const char*>(data), size));
  halftone::CheckArrayFile(file, {.format = "npy"});
  return 0;
}
