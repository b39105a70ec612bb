// The header of a .npy file: magic, version, length, then a Python dictionary.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef HALFTONE_IO_NUMPY_NPY_HEADER_H_
#define HALFTONE_IO_NUMPY_NPY_HEADER_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "io/array.h"
#include "io/element_type.h"
#include "tensor/shape.h"

namespace halftone {

// Magic (6), version (2) and, from version 2.0 on, a length of 4 bytes; 2 before.
inline constexpr uint64_t kNpyMaxPrefix = 12;

// Where the dictionary lies.
struct NpyPrefix {
  uint64_t dict_offset = 0;
  uint64_t dict_bytes = 0;
};

struct NpyHeader {
  ElementType type = ElementType::kF32;
  bool big_endian = false;
  bool fortran_order = false;
  Shape shape;
  uint64_t bytes = 0;   // of the elements
  uint64_t offset = 0;  // of the first of them, from the start of the file
};

// `start`: the file's first bytes, kNpyMaxPrefix of them or all; `file_bytes`: the whole file's size. The
// dictionary lies within the file.
absl::StatusOr<NpyPrefix> ParseNpyPrefix(absl::string_view path, absl::string_view start,
                                         uint64_t file_bytes);

absl::StatusOr<NpyHeader> ParseNpyDict(absl::string_view path, absl::string_view dict);

// Fills a span with the file's next bytes.
using ReadNext = absl::FunctionRef<absl::Status(absl::Span<char>)>;

// Reads the header of a file of file_bytes from its start, and no more than that; the elements take exactly
// the rest.
absl::StatusOr<NpyHeader> ReadNpyHeader(absl::string_view path, uint64_t file_bytes, ReadNext read);

// The bytes before the elements: version 1.0, little endian, a multiple of 64, as NumPy writes it.
absl::StatusOr<std::string> MakeNpyHeader(absl::string_view path, ElementType type, const Shape& shape,
                                          bool fortran_order);

}  // namespace halftone

#endif  // HALFTONE_IO_NUMPY_NPY_HEADER_H_
