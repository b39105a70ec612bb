#include "io/npz.h"

#include <zip.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/npy_header.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxEntries = 1 << 20;
// Deflate's best: 258 bytes for two bits.
constexpr uint64_t kMaxDeflateRatio = 1032;

struct CloseZip {
  void operator()(zip_t* zip) const { zip_discard(zip); }
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using ZipPtr = std::unique_ptr<zip_t, CloseZip>;
using EntryPtr = std::unique_ptr<zip_file_t, CloseZip>;

uint64_t LittleEndianAt(absl::string_view bytes, size_t at) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// libzip makes room for as many entries as a zip64 directory says it has before it looks at any of them. So
// every such number that it could come upon, in the reach of the longest comment, is looked at first. Without
// zip64 it is below 65536. Layouts: APPNOTE.TXT 6.3, sections 4.3.14 to 4.3.16.
absl::Status CheckEntryCount(const InputFile& file) {
  constexpr uint64_t kReach = 65535 + 22 + 20;
  constexpr uint64_t kLocatorBytes = 20, kDirectoryBytes = 56, kSmallestEntry = 46;
  std::string tail(std::min(kReach, file.size()), '\0');
  RETURN_IF_ERROR(file.ReadAt(file.size() - tail.size(), absl::MakeSpan(tail)));
  for (size_t at = 0; (at = tail.find("PK\6\7", at)) != std::string::npos; ++at) {
    if (at + kLocatorBytes > tail.size()) break;
    const uint64_t directory = LittleEndianAt(tail, at + 8);
    if (directory > file.size() || file.size() - directory < kDirectoryBytes) continue;
    std::string bytes(kDirectoryBytes, '\0');
    RETURN_IF_ERROR(file.ReadAt(directory, absl::MakeSpan(bytes)));
    const uint64_t entries = std::max(LittleEndianAt(bytes, 24), LittleEndianAt(bytes, 32));
    if (entries > kMaxEntries || entries > file.size() / kSmallestEntry) {
      return Damaged(file.path(), absl::StrCat("the archive's directory claims ", entries, " entries; ",
                                               file.size(), " bytes hold at most ",
                                               std::min(kMaxEntries, file.size() / kSmallestEntry)));
    }
  }
  return absl::OkStatus();
}

// Fills `to` with the entry's next bytes.
absl::Status ReadEntry(absl::string_view who, zip_file_t* entry, absl::Span<char> to) {
  while (!to.empty()) {
    const zip_int64_t got = zip_fread(entry, to.data(), to.size());
    if (got < 0) return Damaged(who, zip_file_strerror(entry));
    if (got == 0) return Damaged(who, "the entry ends before the size that the archive gives it");
    to.remove_prefix(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

class NpzFile final : public ArrayFile {
 public:
  NpzFile(std::string path, ZipPtr zip, std::vector<FileArray> arrays, std::vector<NpyHeader> headers)
      : ArrayFile("npz", std::move(arrays)),
        path_(std::move(path)),
        zip_(std::move(zip)),
        headers_(std::move(headers)) {}

 private:
  absl::Status Read(size_t index, uint64_t, uint64_t, ChunkFunction f) const override {
    const FileArray& array = arrays()[index];
    const NpyHeader& header = headers_[index];
    const std::string who = absl::StrCat(path_, ": array ", QuotedForError(array.name));
    const EntryPtr entry(zip_fopen_index(zip_.get(), index, 0));
    if (entry == nullptr) return Damaged(who, zip_strerror(zip_.get()));
    std::vector<char> buffer(std::min<uint64_t>(std::max(header.bytes, header.offset), kMaxChunkBytes));
    for (uint64_t left = header.offset; left > 0;) {
      const absl::Span<char> skipped(buffer.data(), std::min<uint64_t>(buffer.size(), left));
      RETURN_IF_ERROR(ReadEntry(who, entry.get(), skipped));
      left -= skipped.size();
    }
    for (uint64_t left = header.bytes; left > 0;) {
      const absl::Span<char> chunk(buffer.data(), std::min<uint64_t>(buffer.size() / 8 * 8, left));
      RETURN_IF_ERROR(ReadEntry(who, entry.get(), chunk));
      if (header.big_endian) SwapElements(SizeOf(header.type), chunk);
      RETURN_IF_ERROR(f(chunk));
      left -= chunk.size();
    }
    // At the end, and only there, libzip compares the checksum.
    char more;
    const zip_int64_t got = zip_fread(entry.get(), &more, 1);
    if (got < 0) return Damaged(who, zip_file_strerror(entry.get()));
    if (got > 0) return Damaged(who, "the entry goes on after the size that the archive gives it");
    return absl::OkStatus();
  }

  std::string path_;
  ZipPtr zip_;
  std::vector<NpyHeader> headers_;
};

// What the archive's directory says about the entry, before any of it is unpacked.
absl::Status CheckEntry(absl::string_view who, const zip_stat_t& stat, uint64_t file_bytes) {
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if ((stat.valid & kNeeded) != kNeeded) return Damaged(who, "the archive's directory does not describe it");
  if (stat.encryption_method != ZIP_EM_NONE) {
    return absl::UnimplementedError(absl::StrCat(who, " is encrypted; save it without a password"));
  }
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
    return absl::UnimplementedError(absl::StrCat(who, " has compression method ", stat.comp_method,
                                                 "; Halftone reads 0 (stored) and 8 (deflated)"));
  }
  if (stat.comp_size > file_bytes) {
    return Damaged(who, absl::StrCat("takes ", stat.comp_size, " bytes of a file of ", file_bytes,
                                     ": it was cut short, or its directory is wrong"));
  }
  const bool stored = stat.comp_method == ZIP_CM_STORE;
  if (stored ? stat.size != stat.comp_size : stat.size / kMaxDeflateRatio > stat.comp_size) {
    return Damaged(
        who, absl::StrCat("cannot unpack to the ", stat.size, " bytes that it claims from ", stat.comp_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenNpz(std::unique_ptr<InputFile> file) {
  const std::string path = file->path();
  const uint64_t size = file->size();
  char start[4] = {};
  RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(start, std::min<uint64_t>(sizeof(start), size))));
  const absl::string_view magic(start, sizeof(start));
  if (magic != "PK\3\4" && magic != "PK\5\6") {
    return Damaged(path, "not a .npz file: it does not begin as a zip archive does");
  }
  RETURN_IF_ERROR(CheckEntryCount(*file));
  int code = 0;
  ZipPtr zip(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const absl::Status status =
        Damaged(path, absl::StrCat("not a whole zip archive: ", zip_error_strerror(&error)));
    zip_error_fini(&error);
    return status;
  }

  const uint64_t entries = static_cast<uint64_t>(zip_get_num_entries(zip.get(), 0));
  std::vector<FileArray> arrays;
  std::vector<NpyHeader> headers;
  absl::flat_hash_set<std::string> names;
  uint64_t packed = 0;
  for (uint64_t i = 0; i < entries; ++i) {
    zip_stat_t stat;
    const char* raw = zip_get_name(zip.get(), i, ZIP_FL_ENC_RAW);
    if (raw == nullptr || zip_stat_index(zip.get(), i, 0, &stat) != 0) {
      return Damaged(path, absl::StrCat("entry ", i, ": ", zip_strerror(zip.get())));
    }
    absl::string_view name = raw;
    const std::string who = absl::StrCat(path, ": entry ", QuotedForError(name));
    if (!absl::ConsumeSuffix(&name, ".npy")) {
      return absl::UnimplementedError(
          absl::StrCat(who, " is not a .npy file; a .npz archive holds nothing else"));
    }
    if (!names.insert(std::string(name)).second) return Damaged(who, "comes twice in the archive");
    RETURN_IF_ERROR(CheckEntry(who, stat, size));
    // Entries that share their bytes are how a small archive unpacks to a huge one.
    packed += stat.comp_size;
    if (packed > size) return Damaged(path, "the archive's entries overlap");
    const EntryPtr entry(zip_fopen_index(zip.get(), i, 0));
    if (entry == nullptr) return Damaged(who, zip_strerror(zip.get()));
    ASSIGN_OR_RETURN(NpyHeader header, ReadNpyHeader(who, stat.size, [&](absl::Span<char> to) {
                       return ReadEntry(who, entry.get(), to);
                     }));
    arrays.push_back({std::string(name), header.type, header.shape, 0, header.bytes,
                      header.fortran_order && header.shape.rank() > 1});
    headers.push_back(std::move(header));
  }
  return std::make_unique<NpzFile>(path, std::move(zip), std::move(arrays), std::move(headers));
}

}  // namespace halftone
