// What readers say about a file that they refuse.
#ifndef HALFTONE_IO_FILE_ERRORS_H_
#define HALFTONE_IO_FILE_ERRORS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/array.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace halftone {

// Text out of a file, in quotes and fit for one line of a terminal: escaped, and cut after 100 bytes.
std::string QuotedForError(absl::string_view text);

// "<path>: <what>", as DataLoss.
absl::Status Damaged(absl::string_view path, absl::string_view what);

// Memory for an array of a file; ResourceExhausted when there is not enough.
absl::StatusOr<Tensor> AllocateFor(Device& device, absl::string_view path, DType dtype, const Shape& shape);

}  // namespace halftone

#endif  // HALFTONE_IO_FILE_ERRORS_H_
