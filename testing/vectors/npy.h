// Reads the vectors: .npy files of one dimension.
#ifndef HALFTONE_TESTING_VECTORS_NPY_H_
#define HALFTONE_TESTING_VECTORS_NPY_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace halftone {

// The elements of a one-dimensional .npy file of version 1.0 whose descr is of `size` bytes.
struct Npy {
  std::string bytes;
  size_t size = 0, count = 0;

  float Float(size_t i) const {
    float result;
    std::memcpy(&result, bytes.data() + i * size, sizeof result);
    return result;
  }
  uint32_t Code(size_t i) const {
    const auto byte = [this](size_t at) { return uint32_t{static_cast<uint8_t>(bytes[at])}; };
    return size == 1 ? byte(i) : byte(2 * i) | byte(2 * i + 1) << 8;
  }
};

// A file that is no such one fails the test; then there are no elements.
inline Npy ReadNpy(const std::string& path, const std::string& descr) {
  const absl::StatusOr<std::string> file = ReadFile(path);
  if (!file.ok() || file->size() < 10 || file->substr(0, 8) != std::string("\x93NUMPY\x01\x00", 8) ||
      file->find("'descr': '" + descr + "'") == std::string::npos) {
    ADD_FAILURE() << path << " is not a .npy file of " << descr;
    return {};
  }
  Npy npy;
  const size_t header = static_cast<uint8_t>((*file)[8]) + 256 * size_t{static_cast<uint8_t>((*file)[9])};
  npy.bytes = file->substr(10 + header);
  npy.size = static_cast<size_t>(descr.back() - '0');
  npy.count = npy.bytes.size() / npy.size;
  return npy;
}

}  // namespace halftone

#endif  // HALFTONE_TESTING_VECTORS_NPY_H_
