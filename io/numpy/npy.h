// NumPy's .npy files, format versions 1.0, 2.0 and 3.0.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef HALFTONE_IO_NUMPY_NPY_H_
#define HALFTONE_IO_NUMPY_NPY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace halftone {

// Reads f8, f4, f2, i8, i4 and u1 of either byte order, in C or in Fortran order; the tensor has the
// machine's byte order and C order. DataLoss: the file breaks a rule of the format or is longer or shorter
// than its header says; Unimplemented: another dtype or version.
absl::StatusOr<Tensor> ReadNpy(Device& device, const std::string& path);

// Writes version 1.0, little endian, C order; the file appears under its name only when it is whole.
// Unimplemented: bfloat16, which NumPy does not have.
absl::Status WriteNpy(const std::string& path, const Tensor& tensor);

}  // namespace halftone

#endif  // HALFTONE_IO_NUMPY_NPY_H_
