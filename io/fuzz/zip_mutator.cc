// How libFuzzer changes zip archives: half of the time one entry alone, with all lengths, offsets and
// checksums made right again, so that what reads the entries gets to see the change. Layouts:
// APPNOTE.TXT 6.3, section 4.3.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace halftone {
namespace {

struct Entry {
  std::string name, data;
  uint64_t method, crc, bytes;  // as the directory says
};

constexpr size_t kEndBytes = 22, kDirectoryEntryBytes = 46, kLocalBytes = 30;

uint64_t Number(absl::string_view zip, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(zip[at + i]);
  return value;
}

std::string Bytes(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

uint32_t Crc32(absl::string_view data) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : data) {
    crc ^= static_cast<uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

// False where the directory is damaged.
bool Parse(absl::string_view zip, std::vector<Entry>* entries) {
  const size_t end = zip.rfind("PK\5\6");
  if (end == absl::string_view::npos || zip.size() - end < kEndBytes) return false;
  size_t at = Number(zip, end + 16, 4);
  for (uint64_t left = Number(zip, end + 10, 2); left > 0; --left) {
    if (at > end || end - at < kDirectoryEntryBytes || zip.substr(at, 4) != "PK\1\2") return false;
    const size_t name = Number(zip, at + 28, 2), local = Number(zip, at + 42, 4);
    if (local > end || end - local < kLocalBytes || name > end - at - kDirectoryEntryBytes) return false;
    const size_t data = local + kLocalBytes + Number(zip, local + 26, 2) + Number(zip, local + 28, 2);
    const size_t packed = Number(zip, at + 20, 4);
    if (data > end || packed > end - data) return false;
    entries->push_back({std::string(zip.substr(at + kDirectoryEntryBytes, name)),
                        std::string(zip.substr(data, packed)), Number(zip, at + 10, 2),
                        Number(zip, at + 16, 4), Number(zip, at + 24, 4)});
    at += kDirectoryEntryBytes + name + Number(zip, at + 30, 2) + Number(zip, at + 32, 2);
  }
  return !entries->empty();
}

std::string Build(const std::vector<Entry>& entries) {
  std::string zip, directory;
  for (const Entry& e : entries) {
    // From the version that is needed to the lengths of the name and of an extra field.
    const std::string about =
        absl::StrCat(Bytes(20, 2), Bytes(0, 2), Bytes(e.method, 2), Bytes(0, 4), Bytes(e.crc, 4),
                     Bytes(e.data.size(), 4), Bytes(e.bytes, 4), Bytes(e.name.size(), 2), Bytes(0, 2));
    absl::StrAppend(&directory, "PK\1\2", Bytes(20, 2), about, std::string(10, '\0'), Bytes(zip.size(), 4),
                    e.name);
    absl::StrAppend(&zip, "PK\3\4", about, e.name, e.data);
  }
  return absl::StrCat(zip, directory, "PK\5\6", Bytes(0, 4), Bytes(entries.size(), 2),
                      Bytes(entries.size(), 2), Bytes(directory.size(), 4), Bytes(zip.size(), 4),
                      Bytes(0, 2));
}

void Mutate(std::string* text, size_t room) {
  const size_t size = text->size();
  text->resize(size + room);
  text->resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text->data()), size, size + room));
}

}  // namespace
}  // namespace halftone

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::vector<halftone::Entry> entries;
  const absl::string_view zip(reinterpret_cast<const char*>(data), size);
  if (seed % 2 == 0 || !halftone::Parse(zip, &entries)) return LLVMFuzzerMutate(data, size, max_size);
  halftone::Entry& entry = entries[seed / 16 % entries.size()];
  const size_t room = max_size > size ? max_size - size : 0;
  halftone::Mutate(seed / 2 % 8 == 0 ? &entry.name : &entry.data, room + 1);
  if (entry.method == 0) {
    entry.crc = halftone::Crc32(entry.data);
    entry.bytes = entry.data.size();
  }
  const std::string changed = halftone::Build(entries);
  if (changed.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, changed.data(), changed.size());
  return changed.size();
}
