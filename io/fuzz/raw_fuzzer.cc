// The first byte tells the element type; the second how many dimensions are given, if any; eight bytes each
// tell their lengths. The rest is the file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/element_type.h"
#include "io/fuzz/check_array_file.h"
#include "tensor/shape.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static halftone::FuzzFile file("x");
  if (size < 2) return 0;
  halftone::OpenOptions options;
  options.raw_type = halftone::kAllElementTypes[data[0] % std::size(halftone::kAllElementTypes)];
  const uint8_t* at = data + 2;
  const uint8_t* const end = data + size;
  if (const int given = data[1]; given > 0) {
    std::vector<int64_t> dims;
    for (; static_cast<int>(dims.size()) < given - 1 && end - at >= 8; at += 8) {
      uint64_t d;
      std::memcpy(&d, at, sizeof(d));
      dims.push_back(static_cast<int64_t>(d >> 1));  // a Shape has no negative lengths
    }
    options.raw_shape = halftone::Shape(dims);
  }
  file.Write(absl::string_view(reinterpret_cast<const char*>(at), static_cast<size_t>(end - at)));
  halftone::CheckArrayFile(file, options);
  return 0;
}
