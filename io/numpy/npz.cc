#include "io/numpy/npz.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/numpy/npy_header.h"

namespace halftone {
namespace {

class NpzFile final : public ArrayFile {
 public:
  NpzFile(std::unique_ptr<ZipArchive> archive, std::vector<FileArray> arrays, std::vector<NpyHeader> headers)
      : ArrayFile("npz", std::move(arrays)), archive_(std::move(archive)), headers_(std::move(headers)) {}

 private:
  absl::Status Read(size_t index, uint64_t, uint64_t, ChunkFunction f) const override {
    const NpyHeader& header = headers_[index];
    ASSIGN_OR_RETURN(ZipArchive::Reader entry, archive_->OpenEntry(index));
    std::vector<char> buffer(std::min<uint64_t>(std::max(header.bytes, header.offset), kMaxChunkBytes));
    for (uint64_t left = header.offset; left > 0;) {
      const absl::Span<char> skipped(buffer.data(), std::min<uint64_t>(buffer.size(), left));
      RETURN_IF_ERROR(entry.Read(skipped));
      left -= skipped.size();
    }
    for (uint64_t left = header.bytes; left > 0;) {
      const absl::Span<char> chunk(buffer.data(), std::min<uint64_t>(buffer.size() / 8 * 8, left));
      RETURN_IF_ERROR(entry.Read(chunk));
      if (header.big_endian) SwapElements(SizeOf(header.type), chunk);
      RETURN_IF_ERROR(f(chunk));
      left -= chunk.size();
    }
    return entry.Finish();
  }

  std::unique_ptr<ZipArchive> archive_;
  std::vector<NpyHeader> headers_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenNpz(std::unique_ptr<ZipArchive> archive) {
  std::vector<FileArray> arrays;
  std::vector<NpyHeader> headers;
  for (size_t i = 0; i < archive->entries().size(); ++i) {
    const std::string who = archive->Describe(i);
    absl::string_view name = archive->entries()[i].name;
    if (!absl::ConsumeSuffix(&name, ".npy")) {
      return absl::UnimplementedError(
          absl::StrCat(who, " is not a .npy file; a .npz archive holds nothing else"));
    }
    ASSIGN_OR_RETURN(ZipArchive::Reader entry, archive->OpenEntry(i));
    ASSIGN_OR_RETURN(NpyHeader header, ReadNpyHeader(who, archive->entries()[i].bytes,
                                                     [&](absl::Span<char> to) { return entry.Read(to); }));
    arrays.push_back({std::string(name), header.type, header.shape, 0, header.bytes,
                      header.fortran_order && header.shape.rank() > 1});
    headers.push_back(std::move(header));
  }
  return std::make_unique<NpzFile>(std::move(archive), std::move(arrays), std::move(headers));
}

}  // namespace halftone
