#include "io/zip/zip_archive.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "io/file_errors.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxEntries = 1 << 20;
// Deflate's best: 258 bytes for two bits.
constexpr uint64_t kMaxDeflateRatio = 1032;

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

absl::StatusOr<size_t> ZipArchive::Reader::ReadSome(absl::Span<char> to) {
  const zip_int64_t got = zip_fread(entry_.get(), to.data(), to.size());
  if (got < 0) return Damaged(who_, zip_file_strerror(entry_.get()));
  return static_cast<size_t>(got);
}

absl::Status ZipArchive::Reader::Read(absl::Span<char> to) {
  while (!to.empty()) {
    ASSIGN_OR_RETURN(const size_t got, ReadSome(to));
    if (got == 0) return Damaged(who_, "the entry ends before the size that the archive gives it");
    to.remove_prefix(got);
  }
  return absl::OkStatus();
}

absl::Status ZipArchive::Reader::Finish() {
  // At the end, and only there, libzip compares the checksum.
  char more;
  ASSIGN_OR_RETURN(const size_t got, ReadSome(absl::MakeSpan(&more, 1)));
  if (got == 0) return absl::OkStatus();
  return Damaged(who_, "the entry goes on after the size that the archive gives it");
}

absl::StatusOr<bool> ZipArchive::IsZip(const InputFile& file) {
  char start[4] = {};
  if (file.size() < sizeof(start)) return false;
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(start)));
  const absl::string_view magic(start, sizeof(start));
  return magic == "PK\3\4" || magic == "PK\5\6";
}

absl::StatusOr<std::unique_ptr<ZipArchive>> ZipArchive::Open(std::unique_ptr<InputFile> file) {
  ASSIGN_OR_RETURN(const bool zip, IsZip(*file));
  if (!zip) return Damaged(file->path(), "it does not begin as a zip archive does");
  RETURN_IF_ERROR(CheckEntryCount(*file));
  std::unique_ptr<ZipArchive> archive(new ZipArchive(std::move(file)));
  RETURN_IF_ERROR(archive->OpenDirectory());
  return archive;
}

ZipArchive::~ZipArchive() {
  if (zip_ != nullptr) zip_discard(zip_);
  zip_error_fini(&error_);
}

std::unique_ptr<InputFile> ZipArchive::ReleaseFile(std::unique_ptr<ZipArchive> archive) {
  return std::move(archive->file_);
}

// libzip's way to ask for bytes; see its zip_source_function.
zip_int64_t ZipArchive::Serve(void* archive, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto& self = *static_cast<ZipArchive*>(archive);
  const uint64_t size = self.file_ == nullptr ? 0 : self.file_->size();
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                            ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                            ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    case ZIP_SOURCE_OPEN:
      self.at_ = 0;
      return 0;
    case ZIP_SOURCE_READ: {
      const uint64_t n = std::min<uint64_t>(length, size - self.at_);
      if (!self.file_->ReadAt(self.at_, {static_cast<char*>(data), n}).ok()) {
        zip_error_set(&self.error_, ZIP_ER_READ, 0);
        return -1;
      }
      self.at_ += n;
      return static_cast<zip_int64_t>(n);
    }
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t to = zip_source_seek_compute_offset(self.at_, size, data, length, &self.error_);
      if (to < 0) return -1;
      self.at_ = static_cast<uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(self.at_);
    case ZIP_SOURCE_STAT: {
      auto* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->size = size;
      stat->valid |= ZIP_STAT_SIZE;
      return sizeof(*stat);
    }
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&self.error_, data, length);
    default:  // closing and freeing: the file is the archive's
      return 0;
  }
}

absl::Status ZipArchive::OpenDirectory() {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_function_create(&Serve, this, &error);
  if (source != nullptr) zip_ = zip_open_from_source(source, ZIP_RDONLY, &error);
  absl::Status status;
  if (zip_ == nullptr) {
    status = Damaged(file_->path(), absl::StrCat("not a whole zip archive: ", zip_error_strerror(&error)));
    if (source != nullptr) zip_source_free(source);
  }
  zip_error_fini(&error);
  RETURN_IF_ERROR(status);

  const auto count = static_cast<size_t>(zip_get_num_entries(zip_, 0));
  absl::flat_hash_set<absl::string_view> names;
  entries_.reserve(count);  // so that the names stay where they are
  uint64_t packed = 0;
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(AddEntry(i, &packed));
    if (!names.insert(entries_.back().name).second) return Damaged(Describe(i), "comes twice in the archive");
    // Entries that share their bytes are how a small archive unpacks to a huge one.
    if (packed > file_->size()) return Damaged(file_->path(), "the archive's entries overlap");
  }
  return absl::OkStatus();
}

absl::Status ZipArchive::AddEntry(size_t index, uint64_t* packed) {
  zip_stat_t stat;
  const char* name = zip_get_name(zip_, index, ZIP_FL_ENC_RAW);
  if (name == nullptr || zip_stat_index(zip_, index, 0, &stat) != 0) {
    return Damaged(file_->path(), absl::StrCat("entry ", index, ": ", zip_strerror(zip_)));
  }
  entries_.push_back({name, stat.size, stat.comp_method == ZIP_CM_STORE});
  *packed += stat.comp_size;
  return CheckEntry(Describe(index), stat, file_->size());
}

std::string ZipArchive::Describe(size_t index) const {
  return absl::StrCat(file_->path(), ": entry ", QuotedForError(entries_[index].name));
}

absl::StatusOr<ZipArchive::Reader> ZipArchive::OpenEntry(size_t index) {
  zip_file_t* entry = zip_fopen_index(zip_, index, 0);
  if (entry == nullptr) return Damaged(Describe(index), zip_strerror(zip_));
  return Reader(Describe(index), entry);
}

absl::StatusOr<std::string> ZipArchive::ReadAll(size_t index) {
  ASSIGN_OR_RETURN(Reader reader, OpenEntry(index));
  std::string bytes(entries_[index].bytes, '\0');
  RETURN_IF_ERROR(reader.Read(absl::MakeSpan(bytes)));
  RETURN_IF_ERROR(reader.Finish());
  return bytes;
}

absl::StatusOr<uint64_t> ZipArchive::OffsetOf(size_t index) {
  if (entries_[index].bytes == 0) return 0;
  // libzip has no call for it; but once it has read a byte of the entry, it stands behind that byte.
  ASSIGN_OR_RETURN(Reader reader, OpenEntry(index));
  char first;
  RETURN_IF_ERROR(reader.Read(absl::MakeSpan(&first, 1)));
  const uint64_t offset = at_ - 1;
  if (offset > file_->size() || entries_[index].bytes > file_->size() - offset) {
    return Damaged(Describe(index), "it ends behind the file's end");
  }
  return offset;
}

}  // namespace halftone
