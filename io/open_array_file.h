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
  // Where set, the file's format, whatever its bytes and its name look like: a name of the table below, or
  // "raw", which needs raw_type.
  absl::optional<std::string> format;
};

// A path is a file's, a pipe's, or "-": the standard input, named "stdin". What is no regular file is copied
// into an unnamed temporary file (in $TMPDIR, or /tmp) first. The format is told by the first bytes, and
// where they do not tell, by the name:
//   safetensors        every ElementType
//   safetensors-index  *.index.json: the files that it names, together; see sharded_safetensors.h
//   npy                f8 f4 f2, i8 to i1, u8 to u1, b1, of either byte order
//   npz                the same, stored or deflated; an entry a/b.npy is the array a/b
//   pytorch            .pt, .pth: every ElementType, the tensors in whatever was saved; see pytorch/pytorch.h
//   idx                all its types; told by content, or *.idx, *-ubyte
//   cifar10, cifar100  by name: data_batch_<n>.bin, test_batch.bin; train.bin, test.bin
//   csv, tsv           by name: numbers, as float64; see io/csv.h
// Opening reads and checks what the file says about itself; elements are read by ReadChunks.
// Errors, of one line that names the file: DataLoss (the file breaks a rule of its format), Unimplemented (an
// element type or a version that is not read), InvalidArgument (no format that is known, or options that do
// not fit), ResourceExhausted (no room for a temporary file), and what the file system says.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenArrayFile(const std::string& path,
                                                         const OpenOptions& options = {});

}  // namespace halftone

#endif  // HALFTONE_IO_OPEN_ARRAY_FILE_H_
