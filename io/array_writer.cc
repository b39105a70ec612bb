#include "io/array_writer.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/numpy/npy_header.h"
#include "io/safetensors/safetensors_header.h"

namespace halftone {
namespace {

absl::Status Refuse(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", why));
}

absl::Status FillBytes(absl::string_view path, FileArray& array) {
  const absl::optional<uint64_t> bytes = FileBytes(array.type, array.shape.dims());
  if (!bytes.has_value()) {
    return Refuse(path, absl::StrCat("array ", QuotedForError(array.name), ": ", NameOf(array.type),
                                     " of shape ", array.shape.ToString(), " is larger than any memory"));
  }
  array.bytes = *bytes;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayWriter>> ArrayWriter::Create(const std::string& path,
                                                                 std::vector<FileArray> arrays,
                                                                 const Metadata& metadata) {
  if (absl::EndsWith(path, ".safetensors")) return CreateSafetensors(path, std::move(arrays), metadata);
  if (!absl::EndsWith(path, ".npy")) {
    return Refuse(path, "its name says no format that is written; end it with .safetensors or .npy");
  }
  if (arrays.size() != 1) {
    return Refuse(path, absl::StrCat("a .npy file holds one array, not ", arrays.size(),
                                     "; write a .safetensors file"));
  }
  return CreateNpy(path, std::move(arrays[0]));
}

absl::StatusOr<std::unique_ptr<ArrayWriter>> ArrayWriter::CreateSafetensors(const std::string& path,
                                                                            std::vector<FileArray> arrays,
                                                                            const Metadata& metadata) {
  for (FileArray& array : arrays) {
    if (array.fortran_order) {
      return Refuse(path, absl::StrCat("array ", QuotedForError(array.name),
                                       " is in Fortran order, which safetensors does not have"));
    }
    RETURN_IF_ERROR(FillBytes(path, array));
  }
  std::stable_sort(arrays.begin(), arrays.end(),
                   [](const FileArray& a, const FileArray& b) { return SizeOf(a.type) > SizeOf(b.type); });
  ASSIGN_OR_RETURN(const std::string header, MakeSafetensorsHeader(path, arrays, metadata));
  return Start(path, header, std::move(arrays));
}

absl::StatusOr<std::unique_ptr<ArrayWriter>> ArrayWriter::CreateNpy(const std::string& path,
                                                                    FileArray array) {
  RETURN_IF_ERROR(FillBytes(path, array));
  ASSIGN_OR_RETURN(const std::string header,
                   MakeNpyHeader(path, array.type, array.shape, array.fortran_order));
  return Start(path, header, {std::move(array)});
}

absl::StatusOr<std::unique_ptr<ArrayWriter>> ArrayWriter::Start(const std::string& path,
                                                                absl::string_view header,
                                                                std::vector<FileArray> arrays) {
  uint64_t end = header.size();
  for (FileArray& array : arrays) {
    array.offset = end;
    end += array.bytes;
  }
  ASSIGN_OR_RETURN(std::unique_ptr<AtomicFile> file, AtomicFile::Create(path));
  std::unique_ptr<ArrayWriter> writer(new ArrayWriter(std::move(arrays), end, std::move(file)));
  RETURN_IF_ERROR(writer->Append({header.data(), header.size()}));
  return writer;
}

absl::Status ArrayWriter::Append(absl::Span<const char> bytes) {
  HALFTONE_CHECK(bytes.size() <= file_bytes_ - written_);
  written_ += bytes.size();
  return file_->Append({bytes.data(), bytes.size()});
}

absl::Status ArrayWriter::Commit() {
  HALFTONE_CHECK(written_ == file_bytes_);
  return file_->Commit();
}

}  // namespace halftone
