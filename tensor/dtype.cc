#include "tensor/dtype.h"

namespace halftone {
namespace {

struct Row {
  DType dtype;
  absl::string_view name;
  size_t size;
  bool is_float;
};

constexpr Row kRows[] = {
    {DType::kF64, "float64", 8, true},   {DType::kF32, "float32", 4, true}, {DType::kF16, "float16", 2, true},
    {DType::kBF16, "bfloat16", 2, true}, {DType::kI64, "int64", 8, false},  {DType::kI32, "int32", 4, false},
    {DType::kU8, "uint8", 1, false},
};

const Row& RowOf(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row;
  }
  HALFTONE_CHECK(false);
  return kRows[0];
}

}  // namespace

size_t SizeOf(DType dtype) { return RowOf(dtype).size; }
absl::string_view NameOf(DType dtype) { return RowOf(dtype).name; }
bool IsFloat(DType dtype) { return RowOf(dtype).is_float; }

absl::optional<DType> DTypeFromName(absl::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return absl::nullopt;
}

}  // namespace halftone
