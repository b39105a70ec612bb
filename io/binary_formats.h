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

}  // namespace halftone

#endif  // HALFTONE_IO_BINARY_FORMATS_H_
