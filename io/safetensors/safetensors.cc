#include "io/safetensors/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "io/array_writer.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/safetensors/safetensors_header.h"

namespace halftone {

static_assert(std::endian::native == std::endian::little, "the format's numbers are little endian");

absl::StatusOr<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<InputFile> file, InputFile::Open(path));
  ASSIGN_OR_RETURN(SafetensorsHeader header, ReadSafetensorsHeader(*file));
  SafetensorsReader reader(std::move(file));
  for (FileArray& a : header.arrays) {
    const absl::optional<DType> dtype = DTypeOf(a.type);
    if (!dtype.has_value()) {
      return absl::UnimplementedError(
          absl::StrCat(path, ": tensor ", QuotedForError(a.name), " is ", NameOf(a.type),
                       "; a tensor in memory is float64, float32, float16, bfloat16, "
                       "int64, int32 or uint8"));
    }
    reader.arrays_.push_back({std::move(a.name), *dtype, std::move(a.shape), a.offset, a.bytes});
  }
  reader.metadata_ = std::move(header.metadata);
  for (size_t i = 0; i < reader.arrays_.size(); ++i) reader.index_.emplace(reader.arrays_[i].name, i);
  return reader;
}

const ArrayInfo* SafetensorsReader::Find(absl::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &arrays_[found->second];
}

absl::StatusOr<const ArrayInfo*> SafetensorsReader::Get(absl::string_view name) const {
  const ArrayInfo* info = Find(name);
  if (info != nullptr) return info;
  return absl::NotFoundError(absl::StrCat(file_->path(), " has no tensor ", QuotedForError(name)));
}

absl::StatusOr<Tensor> SafetensorsReader::Read(Device& device, absl::string_view name) const {
  ASSIGN_OR_RETURN(const ArrayInfo* info, Get(name));
  ASSIGN_OR_RETURN(Tensor tensor, AllocateFor(device, file_->path(), info->dtype, info->shape));
  RETURN_IF_ERROR(ReadInto(name, tensor));
  return tensor;
}

absl::Status SafetensorsReader::ReadInto(absl::string_view name, Tensor& to) const {
  ASSIGN_OR_RETURN(const ArrayInfo* info, Get(name));
  if (to.dtype() != info->dtype || !(to.shape() == info->shape)) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_->path(), ": tensor ", QuotedForError(name), " is ", NameOf(info->dtype), " ",
        info->shape.ToString(), ", but ", NameOf(to.dtype()), " ", to.shape().ToString(), " is wanted"));
  }
  return file_->ReadAt(info->offset, absl::MakeSpan(static_cast<char*>(to.raw()), to.bytes()));
}

absl::Status SafetensorsReader::ReadInto(absl::string_view name, absl::Span<char> to) const {
  ASSIGN_OR_RETURN(const ArrayInfo* info, Get(name));
  if (to.size() != info->bytes) {
    return absl::InvalidArgumentError(absl::StrCat(file_->path(), ": tensor ", QuotedForError(name), " has ",
                                                   info->bytes, " bytes, but ", to.size(), " are wanted"));
  }
  return file_->ReadAt(info->offset, to);
}

absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::vector<FileArray> arrays;
  absl::flat_hash_map<absl::string_view, const Tensor*> by_name;
  for (const NamedTensor& t : tensors) {
    HALFTONE_CHECK(t.tensor.defined());
    arrays.push_back({t.name, ElementTypeOf(t.tensor.dtype()), t.tensor.shape()});
    by_name[t.name] = &t.tensor;
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayWriter> writer,
                   ArrayWriter::CreateSafetensors(path, std::move(arrays), metadata));
  for (const FileArray& array : writer->arrays()) {
    const Tensor& tensor = *by_name.at(array.name);
    RETURN_IF_ERROR(writer->Append({static_cast<const char*>(tensor.raw()), tensor.bytes()}));
  }
  return writer->Commit();
}

}  // namespace halftone
