// Opens a file of arrays of any format that Halftone knows.
//
//   ASSIGN_OR_RETURN(const std::unique_ptr<ArrayFile> file, OpenArrayFile("weights.safetensors"));
//   for (size_t i = 0; i < file->arrays().size(); ++i) {
//     RETURN_IF_ERROR(file->ReadChunks(i, [&](absl::Span<const char> bytes) { ... }));
//   }
#ifndef HALFTONE_IO_OPEN_ARRAY_FILE_H_
#define HALFTONE_IO_OPEN_ARRAY_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "io/array_file.h"
#include "io/element_type.h"
#include "tensor/shape.h"

namespace halftone {

struct OpenOptions {
  // Where set, the file is nothing but little-endian elements of this type, whatever its bytes look like.
  absl::optional<ElementType> raw_type;
  // Of the raw elements; otherwise one dimension as long as the file. Without raw_type it is an error.
  absl::optional<Shape> raw_shape;
};

// The format is told by the file's first bytes, and where they do not tell, by its name:
//   safetensors   every ElementType
//   .npy          f8 f4 f2, i8 to i1, u8 to u1, b1, of either byte order
//   .npz          the same, stored or deflated; an entry a/b.npy is the array a/b
//   IDX           all its types; told by content, or *.idx, *-ubyte
//   CIFAR         by name: data_batch_<n>.bin, test_batch.bin (CIFAR-10), train.bin, test.bin (CIFAR-100)
//   .csv, .tsv    numbers, as float64; see io/csv.h
// Opening reads and checks what the file says about itself; elements are read by ReadChunks.
// Errors, of one line that names the file: DataLoss (the file breaks a rule of its format), Unimplemented (an
// element type or a version that is not read), InvalidArgument (no format that is known, or options that do
// not fit), and what the file system says.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenArrayFile(const std::string& path,
                                                         const OpenOptions& options = {});

}  // namespace halftone

#endif  // HALFTONE_IO_OPEN_ARRAY_FILE_H_
