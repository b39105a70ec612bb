// interop_writer <folder>: writes one safetensors file and .npy files, for testing/interop to read in Python.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "io/numpy/npy.h"
#include "io/safetensors/safetensors.h"
#include "io/test_files.h"

namespace halftone {
namespace {

absl::Status WriteAll(const std::string& folder) {
  Device device;
  std::vector<NamedTensor> tensors;
  for (const DType dtype : kAllDTypes) {
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{0, 3}, Shape{2, 3, 4}}) {
      const Tensor t = Pattern(device, dtype, shape);
      // Python recovers what to expect from the name: "float32.2x3x4".
      const std::string name = absl::StrCat(NameOf(dtype), ".", absl::StrJoin(shape.dims(), "x"));
      tensors.push_back({name, t});
      if (dtype == DType::kBF16) continue;
      const absl::Status written = WriteNpy(absl::StrCat(folder, "/", name, ".npy"), t);
      if (!written.ok()) return written;
    }
  }
  return WriteSafetensors(folder + "/all.safetensors", tensors, {{"writer", "Halftone \"\xc3\xa9\"\n"}});
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s <folder>\n", argv[0]);
    return 2;
  }
  const absl::Status status = halftone::WriteAll(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
