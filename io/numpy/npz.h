// NumPy's .npz: a zip archive of .npy files, stored or deflated.
// https://numpy.org/doc/stable/reference/generated/numpy.savez.html
#ifndef HALFTONE_IO_NUMPY_NPZ_H_
#define HALFTONE_IO_NUMPY_NPZ_H_

#include <memory>

#include "absl/status/statusor.h"
#include "io/array_file.h"
#include "io/zip/zip_archive.h"

namespace halftone {

// Nothing is ever unpacked but a chunk at a time, and what an entry says of its size must agree with its .npy
// header. The archive's checksums are checked at the end of ReadChunks. Errors: as OpenArrayFile.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenNpz(std::unique_ptr<ZipArchive> archive);

}  // namespace halftone

#endif  // HALFTONE_IO_NUMPY_NPZ_H_
