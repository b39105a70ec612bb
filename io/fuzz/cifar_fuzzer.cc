#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "io/fuzz/check_array_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static halftone::FuzzFile cifar10("data_batch_1.bin");
  static halftone::FuzzFile cifar100("train.bin");
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  cifar10.Write(bytes);
  halftone::CheckArrayFile(cifar10);
  cifar100.Write(bytes);
  halftone::CheckArrayFile(cifar100);
  return 0;
}
