#include "io/binary_formats.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/file_errors.h"
#include "io/numpy/npy_header.h"
#include "io/range_file.h"
#include "io/safetensors/safetensors_header.h"

namespace halftone {
namespace {

// Arrays whose elements are interleaved: record r of an array lies at its offset plus r * record_bytes.
class RecordFile final : public ArrayFile {
 public:
  RecordFile(absl::string_view format, std::unique_ptr<InputFile> file, std::vector<FileArray> arrays,
             uint64_t records, uint64_t record_bytes)
      : ArrayFile(format, std::move(arrays)),
        file_(std::move(file)),
        records_(records),
        record_bytes_(record_bytes) {}

 private:
  absl::Status Read(size_t index, uint64_t, uint64_t, ChunkFunction f) const override {
    const FileArray& array = arrays()[index];
    if (array.bytes == 0) return absl::OkStatus();
    const uint64_t first = array.offset, wanted = array.bytes / records_;
    const uint64_t at_once = std::min(records_, kMaxChunkBytes / record_bytes_);
    std::vector<char> buffer(at_once * record_bytes_);
    for (uint64_t record = 0; record < records_; record += at_once) {
      const uint64_t n = std::min(at_once, records_ - record);
      const absl::Span<char> bytes(buffer.data(), n * record_bytes_);
      RETURN_IF_ERROR(file_->ReadAt(record * record_bytes_, bytes));
      for (uint64_t i = 0; i < n; ++i) {
        std::memmove(&buffer[i * wanted], &buffer[i * record_bytes_ + first], wanted);
      }
      RETURN_IF_ERROR(f(bytes.first(n * wanted)));
    }
    return absl::OkStatus();
  }

  std::unique_ptr<InputFile> file_;
  uint64_t records_, record_bytes_;
};

struct IdxHeader {
  ElementType type;
  std::vector<int64_t> dims;
  uint64_t offset;
  absl::optional<uint64_t> bytes;  // nothing when the dimensions are larger than any memory
};

absl::StatusOr<IdxHeader> ReadIdxHeader(const InputFile& file) {
  static constexpr struct {
    uint8_t code;
    ElementType type;
  } kTypes[] = {{0x08, ElementType::kU8},  {0x09, ElementType::kI8},  {0x0b, ElementType::kI16},
                {0x0c, ElementType::kI32}, {0x0d, ElementType::kF32}, {0x0e, ElementType::kF64}};
  unsigned char start[4];
  if (file.size() < sizeof(start)) {
    return Damaged(file.path(),
                   absl::StrCat("the file has ", file.size(), " bytes; an IDX file has at least 4"));
  }
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(reinterpret_cast<char*>(start), sizeof(start))));
  const auto row =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& r) { return r.code == start[2]; });
  if (start[0] != 0 || start[1] != 0 || row == std::end(kTypes)) {
    return Damaged(file.path(), "not an IDX file: it does not begin with two zero bytes and an element type");
  }
  const int rank = start[3];
  IdxHeader header{row->type, {}, 4 + 4 * static_cast<uint64_t>(rank), absl::nullopt};
  if (rank > kMaxArrayRank) {
    return Damaged(file.path(), absl::StrCat("the header gives ", rank, " dimensions; at most ",
                                             kMaxArrayRank, " are read"));
  }
  if (file.size() < header.offset) return Damaged(file.path(), "the file was cut short within its header");
  std::string dims(4 * rank, '\0');
  RETURN_IF_ERROR(file.ReadAt(sizeof(start), absl::MakeSpan(dims)));
  SwapElements(4, absl::MakeSpan(dims));
  for (int i = 0; i < rank; ++i) {
    uint32_t d;
    std::memcpy(&d, &dims[4 * i], sizeof(d));
    header.dims.push_back(d);
  }
  header.bytes = ArrayBytes(header.type, header.dims);
  return header;
}

// "2 bytes", "6 bits".
std::string SizeInWords(ElementType type) {
  const int bits = BitsOf(type);
  return bits < 8 ? absl::StrCat(bits, " bits") : absl::StrCat(SizeOf(type), bits == 8 ? " byte" : " bytes");
}

std::string NameFromPath(const std::string& path) { return std::filesystem::path(path).stem().string(); }

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenSafetensorsArrays(std::unique_ptr<InputFile> file) {
  ASSIGN_OR_RETURN(SafetensorsHeader header, ReadSafetensorsHeader(*file));
  return std::make_unique<RangeFile>("safetensors", std::move(file), std::move(header.arrays),
                                     std::move(header.metadata));
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
                                     RangeFile::Metadata(), header.big_endian);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenRawArray(std::unique_ptr<InputFile> file, ElementType type,
                                                        const absl::optional<Shape>& shape) {
  const auto bits = static_cast<uint64_t>(BitsOf(type));
  // Without overflow: the elements of every 8 * bits bits, and those of the rest.
  const uint64_t rest = file->size() % bits * 8;
  if (!shape.has_value() && rest % bits != 0) {
    return Damaged(file->path(), absl::StrCat("the file's ", file->size(), " bytes are no whole number of ",
                                              NameOf(type), ", which take ", SizeInWords(type), " each"));
  }
  const Shape dims = shape.value_or(Shape{static_cast<int64_t>(file->size() / bits * 8 + rest / bits)});
  if (dims.rank() > kMaxArrayRank) {
    return absl::InvalidArgumentError(absl::StrCat(file->path(), ": a shape of ", dims.rank(),
                                                   " dimensions is given; at most ", kMaxArrayRank,
                                                   " are read"));
  }
  const absl::optional<uint64_t> bytes = FileBytes(type, dims.dims());
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file->path(), ": shape ", dims.ToString(), " is larger than any memory"));
  }
  if (*bytes != file->size()) {
    return Damaged(file->path(), absl::StrCat(NameOf(type), " of shape ", dims.ToString(), " takes ", *bytes,
                                              " bytes, but the file has ", file->size()));
  }
  FileArray array{NameFromPath(file->path()), type, dims, 0, *ArrayBytes(type, dims.dims())};
  return std::make_unique<RangeFile>("raw", std::move(file), std::vector<FileArray>{std::move(array)});
}

bool IsIdx(const InputFile& file) {
  const absl::StatusOr<IdxHeader> header = ReadIdxHeader(file);
  return header.ok() && header->bytes.has_value() && *header->bytes == file.size() - header->offset;
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenIdxArray(std::unique_ptr<InputFile> file) {
  ASSIGN_OR_RETURN(const IdxHeader header, ReadIdxHeader(*file));
  const Shape shape(header.dims);
  if (!header.bytes.has_value()) {
    return Damaged(file->path(), absl::StrCat("shape ", shape.ToString(), " is larger than any memory"));
  }
  const uint64_t has = file->size() - header.offset;
  if (has != *header.bytes) {
    return Damaged(file->path(),
                   absl::StrCat(NameOf(header.type), " of shape ", shape.ToString(), " takes ", *header.bytes,
                                " bytes, but the file has ", has, " after its header",
                                has < *header.bytes ? ": it was cut short" : ""));
  }
  FileArray array{NameFromPath(file->path()), header.type, shape, header.offset, *header.bytes};
  return std::make_unique<RangeFile>("idx", std::move(file), std::vector<FileArray>{std::move(array)},
                                     RangeFile::Metadata(), true);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenCifarArrays(std::unique_ptr<InputFile> file, int labels) {
  constexpr uint64_t kPixels = 3 * 32 * 32;
  const uint64_t record_bytes = static_cast<uint64_t>(labels) + kPixels;
  const uint64_t records = file->size() / record_bytes;
  if (records == 0 || file->size() % record_bytes != 0) {
    return Damaged(file->path(), absl::StrCat("by its name a file of CIFAR, but its ", file->size(),
                                              " bytes are no whole number of records of ", record_bytes,
                                              "; for raw numbers, give their element type"));
  }
  const int64_t n = static_cast<int64_t>(records);
  std::vector<FileArray> arrays;
  for (int i = 0; i < labels; ++i) {
    const char* const name = labels == 1 ? "labels" : i == 0 ? "coarse_labels" : "fine_labels";
    arrays.push_back({name, ElementType::kU8, Shape{n}, static_cast<uint64_t>(i), records});
  }
  arrays.push_back(
      {"images", ElementType::kU8, Shape{n, 3, 32, 32}, static_cast<uint64_t>(labels), records * kPixels});
  return std::make_unique<RecordFile>("cifar", std::move(file), std::move(arrays), records, record_bytes);
}

}  // namespace halftone
