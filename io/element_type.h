// The types of elements that files hold: more than the DTypes that Halftone computes with.
#ifndef HALFTONE_IO_ELEMENT_TYPE_H_
#define HALFTONE_IO_ELEMENT_TYPE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone {

// The floats of 8 bits and fewer are the formats of the same names in quant/formats.h. Codes of fewer than 8
// bits lie in files without gaps (quant/pack.h); once read each takes a byte.
enum class ElementType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3FN,
  kF8E5M2,
  kF8E4M3FNUZ,
  kF8E5M2FNUZ,
  kF8E8M0FNU,
  kF6E2M3FN,
  kF6E3M2FN,
  kF4E2M1FN,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
};

inline constexpr ElementType kAllElementTypes[] = {
    ElementType::kF64,       ElementType::kF32,      ElementType::kF16,        ElementType::kBF16,
    ElementType::kF8E4M3FN,  ElementType::kF8E5M2,   ElementType::kF8E4M3FNUZ, ElementType::kF8E5M2FNUZ,
    ElementType::kF8E8M0FNU, ElementType::kF6E2M3FN, ElementType::kF6E3M2FN,   ElementType::kF4E2M1FN,
    ElementType::kI64,       ElementType::kI32,      ElementType::kI16,        ElementType::kI8,
    ElementType::kU64,       ElementType::kU32,      ElementType::kU16,        ElementType::kU8,
    ElementType::kBool,
};

size_t SizeOf(ElementType type);             // bytes an element, once read
int BitsOf(ElementType type);                // bits an element in a file
absl::string_view NameOf(ElementType type);  // "float32", "float8_e4m3fn", "uint16", "bool", ...
// By NameOf's names.
absl::optional<ElementType> ElementTypeFromName(absl::string_view name);
bool IsFloat(ElementType type);

ElementType ElementTypeOf(DType dtype);
// Nothing when no Tensor holds such elements.
absl::optional<DType> DTypeOf(ElementType type);

// The values of little-endian elements, one a byte where they have fewer bits (the upper ones do not count);
// bytes.size() must be to.size() * SizeOf(type). A value that the target does not hold exactly (float64 and
// integers beyond 2^24 in a float, beyond 2^53 in a double) is rounded to nearest even, a float64 beyond
// float's range to infinity. NaNs stay NaNs. A bool is 0 or 1: any byte but 0 counts as 1.
void ConvertElements(ElementType type, absl::Span<const char> bytes, absl::Span<double> to);
void ConvertElements(ElementType type, absl::Span<const char> bytes, absl::Span<float> to);

// Big-endian elements of `size` bytes each into little-endian ones, or back.
void SwapElements(size_t size, absl::Span<char> bytes);

}  // namespace halftone

#endif  // HALFTONE_IO_ELEMENT_TYPE_H_
