// PyTorch's .pt and .pth files: what torch.save writes, torch.jit.save too, read without Python.
// https://pytorch.org/docs/stable/notes/serialization.html
//
// Since PyTorch 1.6 a zip archive: <name>/data.pkl, a pickle that names storages, and each of these as an
// entry <name>/data/<key>. Before that, and on request, the file is five pickles, one after the other (a
// magic number, a version, facts about the machine, the object, the storages' keys), and then the storages,
// each after its number of elements.
#ifndef HALFTONE_IO_PYTORCH_PYTORCH_H_
#define HALFTONE_IO_PYTORCH_PYTORCH_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/array_file.h"
#include "io/input_file.h"
#include "io/zip/zip_archive.h"

namespace halftone {

// The longest pickle that is read. Elements are no part of it.
inline constexpr uint64_t kMaxTorchPickle = 64 << 20;

// Whether the archive has a data.pkl, be it within a folder.
bool IsPytorchZip(const ZipArchive& archive);
// Whether a file that begins so is of the format before 1.6; 32 bytes tell.
bool IsPytorchLegacy(absl::string_view start);

// The tensors' names and order: see io/pytorch/pytorch_tensors.h; strides of any kind are read in the order
// of the indices. Random access: an archive's compressed entries, which PyTorch does not write, are unpacked
// into a temporary file first. All arrays together have at most 1024 times the file's bytes (or 64 MiB), as
// tensors may share storage, or repeat it by strides of zero, without end. An archive's checksums are those
// of whole entries; those of stored entries are not looked at. Errors: as OpenArrayFile.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorchZip(std::unique_ptr<ZipArchive> archive);
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorchLegacy(std::unique_ptr<InputFile> file);
// Of either kind.
absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorch(std::unique_ptr<InputFile> file);

}  // namespace halftone

#endif  // HALFTONE_IO_PYTORCH_PYTORCH_H_
