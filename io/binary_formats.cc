#include "io/binary_formats.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/file_errors.h"
#include "io/npy_header.h"
#include "io/safetensors_header.h"

namespace halftone {
namespace {

// Arrays that are ranges of the file.
class RangeFile final : public ArrayFile {
 public:
  RangeFile(absl::string_view format, std::unique_ptr<InputFile> file, std::vector<FileArray> arrays,
            bool big_endian)
      : ArrayFile(format, std::move(arrays)), file_(std::move(file)), big_endian_(big_endian) {}

  absl::Status ReadChunks(size_t index, ChunkFunction f) const override {
    const FileArray& array = arrays()[index];
    std::vector<char> buffer(std::min<uint64_t>(array.bytes, kMaxChunkBytes));
    for (uint64_t at = 0; at < array.bytes; at += buffer.size()) {
      const absl::Span<char> chunk(buffer.data(), std::min<uint64_t>(buffer.size(), array.bytes - at));
      RETURN_IF_ERROR(file_->ReadAt(array.offset + at, chunk));
      if (big_endian_) SwapElements(SizeOf(array.type), chunk);
      RETURN_IF_ERROR(f(chunk));
    }
    return absl::OkStatus();
  }

 private:
  std::unique_ptr<InputFile> file_;
  bool big_endian_;
};

std::string NameFromPath(const std::string& path) { return std::filesystem::path(path).stem().string(); }

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenSafetensorsArrays(std::unique_ptr<InputFile> file) {
  ASSIGN_OR_RETURN(SafetensorsHeader header, ReadSafetensorsHeader(*file));
  return std::make_unique<RangeFile>("safetensors", std::move(file), std::move(header.arrays), false);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenNpyArray(std::unique_ptr<InputFile> file) {
  uint64_t at = 0;
  ASSIGN_OR_RETURN(const NpyHeader header,
                   ReadNpyHeader(file->path(), file->size(), [&](absl::Span<char> to) {
                     const uint64_t from = std::exchange(at, at + to.size());
                     return file->ReadAt(from, to);
                   }));
  FileArray array{NameFromPath(file->path()),
                  header.type,
                  header.shape,
                  header.offset,
                  header.bytes,
                  header.fortran_order && header.shape.rank() > 1};
  return std::make_unique<RangeFile>("npy", std::move(file), std::vector<FileArray>{std::move(array)},
                                     header.big_endian);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenRawArray(std::unique_ptr<InputFile> file, ElementType type,
                                                        const absl::optional<Shape>& shape) {
  const uint64_t size = SizeOf(type);
  if (!shape.has_value() && file->size() % size != 0) {
    return Damaged(file->path(), absl::StrCat("the file's ", file->size(), " bytes are no whole number of ",
                                              NameOf(type), ", which take ", size, " each"));
  }
  const Shape dims = shape.value_or(Shape{static_cast<int64_t>(file->size() / size)});
  const absl::optional<uint64_t> bytes = ArrayBytes(type, dims.dims());
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file->path(), ": shape ", dims.ToString(), " is larger than any memory"));
  }
  if (*bytes != file->size()) {
    return Damaged(file->path(), absl::StrCat(NameOf(type), " of shape ", dims.ToString(), " takes ", *bytes,
                                              " bytes, but the file has ", file->size()));
  }
  FileArray array{NameFromPath(file->path()), type, dims, 0, *bytes};
  return std::make_unique<RangeFile>("raw", std::move(file), std::vector<FileArray>{std::move(array)}, false);
}

}  // namespace halftone
