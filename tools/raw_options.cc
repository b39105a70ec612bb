#include "tools/raw_options.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/element_type.h"
#include "tensor/shape.h"

namespace halftone {
namespace {

absl::Status Refuse(absl::string_view flag, absl::string_view value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", value, ": expected ", expected));
}

absl::StatusOr<Shape> ParseShape(ElementType type, absl::string_view text) {
  absl::string_view list = absl::StripAsciiWhitespace(text);
  if (absl::ConsumePrefix(&list, "[") != absl::ConsumeSuffix(&list, "]")) {
    return Refuse("shape", text, "sizes such as 2x3 or 2,3");
  }
  std::vector<int64_t> dims;
  if (text == "[]") return Shape();
  for (const absl::string_view part : absl::StrSplit(list, absl::ByAnyChar("x,"))) {
    int64_t size;
    if (!absl::SimpleAtoi(part, &size) || size < 0) {
      return Refuse("shape", text, "sizes such as 2x3 or 2,3");
    }
    dims.push_back(size);
  }
  if (!ArrayBytes(type, dims).has_value()) {
    return Refuse("shape", text, "a size of less than 2^63 bytes");
  }
  return Shape(dims);
}

}  // namespace

absl::StatusOr<OpenOptions> ParseRawOptions(absl::string_view dtype, absl::string_view shape) {
  OpenOptions options;
  if (dtype.empty()) {
    if (!shape.empty()) return Refuse("shape", shape, "--dtype beside it: both describe a raw file");
    return options;
  }
  options.raw_type = ElementTypeFromName(dtype);
  if (!options.raw_type.has_value()) {
    const auto append_name = [](std::string* to, ElementType type) { absl::StrAppend(to, NameOf(type)); };
    return Refuse("dtype", dtype,
                  absl::StrCat("one of ", absl::StrJoin(kAllElementTypes, ", ", append_name)));
  }
  if (!shape.empty()) {
    ASSIGN_OR_RETURN(options.raw_shape, ParseShape(*options.raw_type, shape));
  }
  return options;
}

}  // namespace halftone
