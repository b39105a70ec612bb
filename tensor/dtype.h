// The element types that a Tensor can hold.
#ifndef HALFTONE_TENSOR_DTYPE_H_
#define HALFTONE_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/check.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"

namespace halftone {

enum class DType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kU8 };

size_t SizeOf(DType dtype);             // bytes an element
absl::string_view NameOf(DType dtype);  // "float32", "float16", "bfloat16", "int64", ...
absl::optional<DType> DTypeFromName(absl::string_view name);
bool IsFloat(DType dtype);

template <typename T>
inline constexpr bool kIsDType = false;
template <typename T>
inline constexpr DType kDTypeOf = DType::kU8;

#define HALFTONE_DTYPE(type, dtype)            \
  template <>                                  \
  inline constexpr bool kIsDType<type> = true; \
  template <>                                  \
  inline constexpr DType kDTypeOf<type> = DType::dtype;
HALFTONE_DTYPE(double, kF64)
HALFTONE_DTYPE(float, kF32)
HALFTONE_DTYPE(half, kF16)
HALFTONE_DTYPE(bfloat16, kBF16)
HALFTONE_DTYPE(int64_t, kI64)
HALFTONE_DTYPE(int32_t, kI32)
HALFTONE_DTYPE(uint8_t, kU8)
#undef HALFTONE_DTYPE

// Calls f(T()) for the C++ type of a floating-point dtype: the way from a run-time dtype into a template.
template <typename F>
auto VisitFloat(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF64:
      return std::forward<F>(f)(double());
    case DType::kF16:
      return std::forward<F>(f)(half());
    case DType::kBF16:
      return std::forward<F>(f)(bfloat16());
    default:
      HALFTONE_CHECK(dtype == DType::kF32);
      return std::forward<F>(f)(float());
  }
}

}  // namespace halftone

#endif  // HALFTONE_TENSOR_DTYPE_H_
