#include "io/file_errors.h"

#include <new>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace halftone {

std::string QuotedForError(absl::string_view text) {
  constexpr size_t kLongest = 100;
  const bool cut = text.size() > kLongest;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kLongest)), cut ? "..." : "", "\"");
}

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": ", what));
}

absl::StatusOr<Tensor> AllocateFor(Device& device, absl::string_view path, DType dtype, const Shape& shape) {
  try {
    return Tensor::Empty(device, dtype, shape);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": not enough memory for a ", NameOf(dtype),
                                                     " tensor of shape ", shape.ToString()));
  }
}

}  // namespace halftone
