// The formats whose arrays lie in the file as they are. Errors: as OpenArrayFile.
#ifndef HALFTONE_IO_BINARY_FORMATS_H_
#define HALFTONE_IO_BINARY_FORMATS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "io/input_file.h"
#include "tensor/shape.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenSafetensorsArrays(std::unique_ptr<InputFile> file);
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenNpyArray(std::unique_ptr<InputFile> file);
// Without a shape, one dimension as long as the file.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenRawArray(std::unique_ptr<InputFile> file, ElementType type,
                                                        const absl::optional<Shape>& shape);

// MNIST's IDX: two zero bytes, the element type, the rank, the dimensions as big-endian 32-bit numbers, then
// big-endian elements. Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
// Whether the file begins so and is exactly as long as it then must be: the format has no other mark.
bool IsIdx(const InputFile& file);
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenIdxArray(std::unique_ptr<InputFile> file);

// CIFAR's binary version: records of labels (1 for CIFAR-10, 2 for CIFAR-100: coarse, then fine), then 3 x 32
// x 32 pixels. Arrays: "labels", or "coarse_labels" and "fine_labels", then "images" [records, 3, 32, 32];
// all uint8.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenCifarArrays(std::unique_ptr<InputFile> file, int labels);

}  // namespace halftone

#endif  // HALFTONE_IO_BINARY_FORMATS_H_
