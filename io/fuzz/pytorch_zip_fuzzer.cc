#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "io/fuzz/check_array_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static halftone::FuzzFile file("x.pth");
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  file.Write(bytes);
  halftone::CheckArrayFile(file);
  return 0;
}
