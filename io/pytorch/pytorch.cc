#include "io/pytorch/pytorch.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/element_type.h"
#include "io/file_errors.h"
#include "io/pytorch/pickle.h"
#include "io/pytorch/pytorch_tensors.h"
#include "io/pytorch/strided_file.h"
#include "tensor/shape.h"

namespace halftone {
namespace {

// 0x1950a86a20f9469cfc6c as pickle writes it, behind its length.
constexpr absl::string_view kMagic("\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 11);
constexpr int64_t kLegacyVersion = 1001;

// Where a storage's bytes lie.
struct Place {
  const InputFile* file;
  uint64_t offset, bytes;
};
using Places = absl::flat_hash_map<std::string, Place>;

std::string StemOf(const std::string& path) { return std::filesystem::path(path).stem().string(); }

absl::StatusOr<std::unique_ptr<ArrayFile>> MakeFile(const std::string& path, uint64_t file_bytes,
                                                    std::vector<TorchTensor> tensors, const Places& storages,
                                                    std::vector<std::unique_ptr<InputFile>> files,
                                                    bool big_endian) {
  const uint64_t limit = std::max<uint64_t>(64 << 20, file_bytes * 1024);
  uint64_t total = 0;
  std::vector<FileArray> arrays;
  std::vector<StridedPlace> places;
  for (TorchTensor& tensor : tensors) {
    const std::string who = absl::StrCat(path, ": tensor ", QuotedForError(tensor.name));
    StridedPlace place{nullptr, 0, std::move(tensor.strides)};
    if (tensor.bytes > 0) {
      const auto found = storages.find(tensor.storage.key);
      if (found == storages.end()) {
        return Damaged(who, absl::StrCat("the file has no storage ", QuotedForError(tensor.storage.key)));
      }
      if (found->second.bytes != tensor.storage.bytes) {
        return Damaged(who, absl::StrCat("its storage has ", found->second.bytes,
                                         " bytes, but its pickle gives it ", tensor.storage.bytes));
      }
      place.file = found->second.file;
      place.offset = found->second.offset + tensor.storage.begin + tensor.offset;
    }
    if (tensor.bytes > limit - total) {
      return absl::UnimplementedError(absl::StrCat(who,
                                                   ": the tensors repeat their storages' elements until they "
                                                   "are more than ",
                                                   limit, " bytes, from a file of ", file_bytes));
    }
    total += tensor.bytes;
    arrays.push_back({std::move(tensor.name), tensor.type, Shape(tensor.dims), place.offset, tensor.bytes});
    places.push_back(std::move(place));
  }
  return std::make_unique<StridedFile>("pytorch", std::move(files), std::move(arrays), std::move(places),
                                       big_endian);
}

absl::optional<size_t> FindPickle(const ZipArchive& archive) {
  for (size_t i = 0; i < archive.entries().size(); ++i) {
    absl::string_view name = archive.entries()[i].name;
    if (absl::ConsumeSuffix(&name, "data.pkl") && (name.empty() || name.find('/') == name.size() - 1))
      return i;
  }
  return absl::nullopt;
}

// The storages of an archive, found by their keys.
class ZipStorages {
 public:
  ZipStorages(ZipArchive* archive, absl::string_view folder) : archive_(archive), folder_(folder) {
    for (size_t i = 0; i < archive->entries().size(); ++i) index_[archive->entries()[i].name] = i;
  }

  absl::optional<size_t> Find(absl::string_view name) const {
    const auto found = index_.find(absl::StrCat(folder_, name));
    if (found == index_.end()) return absl::nullopt;
    return found->second;
  }

  // Finds the storage, unless it is known; one that is missing stays so.
  absl::Status Add(absl::string_view key) {
    const absl::optional<size_t> entry = Find(absl::StrCat("data/", key));
    if (!entry.has_value() || storages.contains(key)) return absl::OkStatus();
    const ZipArchive::Entry& about = archive_->entries()[*entry];
    const InputFile* file = &archive_->file();
    uint64_t offset = 0;
    if (about.stored) {
      ASSIGN_OR_RETURN(offset, archive_->OffsetOf(*entry));
    } else {
      ASSIGN_OR_RETURN(ZipArchive::Reader reader, archive_->OpenEntry(*entry));
      ASSIGN_OR_RETURN(std::unique_ptr<InputFile> unpacked,
                       InputFile::Spool(archive_->file().path(),
                                        [&](absl::Span<char> to) { return reader.ReadSome(to); }));
      file = unpacked.get();
      files.push_back(std::move(unpacked));
    }
    storages[key] = {file, offset, file == &archive_->file() ? about.bytes : file->size()};
    return absl::OkStatus();
  }

  Places storages;
  std::vector<std::unique_ptr<InputFile>> files;

 private:
  ZipArchive* archive_;
  std::string folder_;
  absl::flat_hash_map<absl::string_view, size_t> index_;
};

}  // namespace

bool IsPytorchZip(const ZipArchive& archive) { return FindPickle(archive).has_value(); }

bool IsPytorchLegacy(absl::string_view start) {
  return absl::StartsWith(start, "\x80") && absl::StrContains(start.substr(0, 32), kMagic);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorchZip(std::unique_ptr<ZipArchive> archive) {
  const std::string path = archive->file().path();
  const uint64_t file_bytes = archive->file().size();
  const absl::optional<size_t> entry = FindPickle(*archive);
  if (!entry.has_value()) {
    return Damaged(path, "a zip archive without data.pkl: torch.save did not write it");
  }
  const ZipArchive::Entry& about = archive->entries()[*entry];
  ZipStorages entries(archive.get(), absl::StripSuffix(about.name, "data.pkl"));
  if (about.bytes > kMaxTorchPickle) {
    return absl::UnimplementedError(absl::StrCat(path, ": its pickle has ", about.bytes, " bytes; at most ",
                                                 kMaxTorchPickle, " are read"));
  }
  std::string order = "little";
  if (const absl::optional<size_t> named = entries.Find("byteorder");
      named.has_value() && archive->entries()[*named].bytes < 16) {
    ASSIGN_OR_RETURN(order, archive->ReadAll(*named));
  }
  if (order != "little" && order != "big") {
    return Damaged(path,
                   absl::StrCat("its byte order is ", QuotedForError(order), ", neither little nor big"));
  }
  ASSIGN_OR_RETURN(const std::string bytes, archive->ReadAll(*entry));
  ASSIGN_OR_RETURN(const Pickle pickle, Pickle::Parse(path, bytes));
  ASSIGN_OR_RETURN(std::vector<TorchTensor> tensors, ListTorchTensors(path, pickle, StemOf(path)));
  for (const TorchTensor& tensor : tensors) {
    if (tensor.bytes > 0) RETURN_IF_ERROR(entries.Add(tensor.storage.key));
  }
  entries.files.push_back(ZipArchive::ReleaseFile(std::move(archive)));
  return MakeFile(path, file_bytes, std::move(tensors), entries.storages, std::move(entries.files),
                  order == "big");
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorchLegacy(std::unique_ptr<InputFile> file) {
  const std::string path = file->path();
  std::string start(std::min(file->size(), kMaxTorchPickle), '\0');
  RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(start)));
  std::vector<Pickle> pickles;  // magic number, version, machine, object, keys
  uint64_t at = 0;
  for (int i = 0; i < 5; ++i) {
    ASSIGN_OR_RETURN(Pickle pickle, Pickle::Parse(path, absl::string_view(start).substr(at)));
    at += pickle.size();
    pickles.push_back(std::move(pickle));
  }
  const PickleValue &version = pickles[1][pickles[1].root()], &keys = pickles[4][pickles[4].root()];
  if (absl::StrCat("\x0a", pickles[0][pickles[0].root()].text) != kMagic) {
    return Damaged(path, "it does not begin with torch.save's magic number");
  }
  if (version.kind != PickleValue::Kind::kInt || version.integer != kLegacyVersion) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": not of version ", kLegacyVersion, " of torch.save's format"));
  }
  if (keys.kind != PickleValue::Kind::kList) return Damaged(path, "its list of storages is none");

  // A storage's elements are counted in its own type, which the object's pickle names.
  absl::flat_hash_map<absl::string_view, ElementType> types;
  for (const PickleRef id : pickles[3].persistent()) {
    if (!IsTorchStorage(pickles[3], id)) continue;
    ASSIGN_OR_RETURN(const TorchStorage storage, TorchStorageOf(path, pickles[3], id));
    types.try_emplace(storage.key, storage.type);
  }
  Places storages;
  for (const PickleRef ref : keys.items) {
    const absl::string_view key = pickles[4][ref].text;
    const std::string who = absl::StrCat(path, ": storage ", QuotedForError(key));
    const auto type = types.find(key);
    if (type == types.end()) return Damaged(who, "its pickle does not name it");
    uint64_t count;
    if (file->size() - at < sizeof(count)) return Damaged(who, "the file was cut short before it");
    RETURN_IF_ERROR(file->ReadAt(at, absl::MakeSpan(reinterpret_cast<char*>(&count), sizeof(count))));
    at += sizeof(count);
    const uint64_t left = file->size() - at, element = SizeOf(type->second);
    if (count > left / element) {
      return Damaged(
          who, absl::StrCat("claims ", count, " elements of ", element, " bytes, but the file has only ",
                            left, " more bytes: it was cut short"));
    }
    if (!storages.try_emplace(key, Place{file.get(), at, count * element}).second) {
      return Damaged(who, "comes twice");
    }
    at += count * element;
  }
  if (at != file->size()) {
    return Damaged(path,
                   absl::StrCat(file->size() - at, " bytes at the end of the file belong to no storage"));
  }
  ASSIGN_OR_RETURN(std::vector<TorchTensor> tensors, ListTorchTensors(path, pickles[3], StemOf(path)));
  const uint64_t file_bytes = file->size();
  std::vector<std::unique_ptr<InputFile>> files;
  files.push_back(std::move(file));
  // Whatever machine wrote it, this format's elements are little endian.
  return MakeFile(path, file_bytes, std::move(tensors), storages, std::move(files), false);
}

absl::StatusOr<std::unique_ptr<ArrayFile>> OpenPytorch(std::unique_ptr<InputFile> file) {
  ASSIGN_OR_RETURN(const bool zip, ZipArchive::IsZip(*file));
  if (zip) {
    ASSIGN_OR_RETURN(std::unique_ptr<ZipArchive> archive, ZipArchive::Open(std::move(file)));
    return OpenPytorchZip(std::move(archive));
  }
  char bytes[512];
  const absl::string_view start(bytes, std::min<uint64_t>(sizeof(bytes), file->size()));
  RETURN_IF_ERROR(file->ReadAt(0, absl::MakeSpan(bytes, start.size())));
  if (IsPytorchLegacy(start)) return OpenPytorchLegacy(std::move(file));
  if (start.size() == sizeof(bytes) && start.substr(257, 5) == "ustar") {
    return absl::UnimplementedError(absl::StrCat(
        file->path(),
        ": a tar archive, as PyTorch wrote before 0.1.10; load it with torch and save it again"));
  }
  return Damaged(file->path(), "neither a zip archive nor torch.save's older format: not a PyTorch file");
}

}  // namespace halftone
