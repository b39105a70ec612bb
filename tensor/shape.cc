#include "tensor/shape.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace halftone {

void Shape::Check() const {
  for (const int64_t d : dims_) HALFTONE_CHECK(d >= 0);
}

int64_t Shape::elements() const {
  int64_t n = 1;
  for (const int64_t d : dims_) n *= d;
  return n;
}

std::string Shape::ToString() const { return absl::StrCat("[", absl::StrJoin(dims_, ", "), "]"); }

}  // namespace halftone
