// Arrays in files: what a reader lists and what a writer takes.
#ifndef HALFTONE_IO_ARRAY_H_
#define HALFTONE_IO_ARRAY_H_

#include <cstdint>
#include <string>

#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "io/element_type.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace halftone {

// One array in a file, known before any of its elements is read.
struct ArrayInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t offset = 0;  // of its first byte, from the start of the file
  uint64_t bytes = 0;
};

// One array in a file, of any element type.
struct FileArray {
  std::string name;
  ElementType type = ElementType::kF32;
  Shape shape;
  uint64_t offset = 0;  // of its first byte, from the start of the file; where they do not lie together, its
                        // first element's, or 0
  uint64_t bytes = 0;  // of its elements, once read: elements * SizeOf(type). FileBytes are those in the file
  bool fortran_order = false;  // the first index runs fastest, not the last
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// The most dimensions that a file's array may have (NumPy's own limit).
inline constexpr int kMaxArrayRank = 64;

// The bytes of an array of these dimensions (each >= 0), or nothing when they do not fit into 63 bits. Zeros
// count as ones in that test, so that neither the product of any of the dimensions nor a stride can overflow
// later.
absl::optional<uint64_t> ArrayBytes(DType dtype, absl::Span<const int64_t> dims);
absl::optional<uint64_t> ArrayBytes(ElementType type, absl::Span<const int64_t> dims);
// What they take in a file, where codes of fewer than 8 bits are packed.
absl::optional<uint64_t> FileBytes(ElementType type, absl::Span<const int64_t> dims);

}  // namespace halftone

#endif  // HALFTONE_IO_ARRAY_H_
