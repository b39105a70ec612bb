// What the tests of file formats share.
#ifndef HALFTONE_IO_TEST_FILES_H_
#define HALFTONE_IO_TEST_FILES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace halftone {

inline constexpr DType kAllDTypes[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16,
                                       DType::kI64, DType::kI32, DType::kU8};

// A path in the test's own directory.
std::string TempPath(absl::string_view name);
// A file there of these bytes; its path.
std::string TempFile(absl::string_view name, absl::string_view bytes);

// `value` as n little-endian bytes.
std::string LittleEndian(uint64_t value, int n);

// Element i is 3 * i (uint8), 3 * i - 2 (other integers) or i / 2 - 2 (floats), as in testdata/make.py.
Tensor Pattern(Device& device, DType dtype, Shape shape);
// Whether the tensors have the same dtype, shape and bits.
bool SameTensor(const Tensor& a, const Tensor& b);

// Every file of this extension (".npy") below $HALFTONE_SHARED/reference; none when the variable is not set.
std::vector<std::string> SharedFiles(absl::string_view extension);

}  // namespace halftone

#endif  // HALFTONE_IO_TEST_FILES_H_
