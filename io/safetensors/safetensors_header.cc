#include "io/safetensors/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/optional.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "io/file_errors.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

constexpr absl::string_view kMetadataKey = "__metadata__";

struct TypeName {
  ElementType type;
  absl::string_view name;
};

constexpr TypeName kTypeNames[] = {
    {ElementType::kF64, "F64"},
    {ElementType::kF32, "F32"},
    {ElementType::kF16, "F16"},
    {ElementType::kBF16, "BF16"},
    {ElementType::kI64, "I64"},
    {ElementType::kI32, "I32"},
    {ElementType::kU8, "U8"},
    {ElementType::kI16, "I16"},
    {ElementType::kI8, "I8"},
    {ElementType::kU64, "U64"},
    {ElementType::kU32, "U32"},
    {ElementType::kU16, "U16"},
    {ElementType::kF8E4M3FN, "F8_E4M3"},
    {ElementType::kF8E5M2, "F8_E5M2"},
    {ElementType::kF8E4M3FNUZ, "F8_E4M3FNUZ"},
    {ElementType::kF8E5M2FNUZ, "F8_E5M2FNUZ"},
    {ElementType::kF8E8M0FNU, "F8_E8M0"},
    {ElementType::kF6E2M3FN, "F6_E2M3"},
    {ElementType::kF6E3M2FN, "F6_E3M2"},
    {ElementType::kF4E2M1FN, "F4"},
    {ElementType::kBool, "BOOL"},
};

absl::optional<ElementType> TypeOf(absl::string_view name) {
  for (const TypeName& row : kTypeNames) {
    if (row.name == name) return row.type;
  }
  return absl::nullopt;
}

absl::string_view NameInFile(ElementType type) {
  for (const TypeName& row : kTypeNames) {
    if (row.type == type) return row.name;
  }
  HALFTONE_CHECK(false);
  return "";
}

// One tensor as the header states it, nothing but its syntax checked. Offsets count from the end of the
// header.
struct Entry {
  std::string name;
  absl::optional<std::string> dtype;
  absl::optional<std::vector<uint64_t>> shape, offsets;
};

// Takes the header's events one by one. Any event out of place stops the parser, so nothing is ever nested
// deeper than the format's three levels, whatever the file holds.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string error;

  bool null() override { return Unexpected(); }
  bool boolean(bool) override { return Unexpected(); }
  bool number_integer(int64_t) override { return Unexpected(); }                   // negative
  bool number_float(double, const std::string&) override { return Unexpected(); }  // also beyond 64 bits
  bool binary(nlohmann::json::binary_t&) override { return Unexpected(); }

  bool number_unsigned(uint64_t value) override {
    if (state_ != State::kList || value > std::numeric_limits<int64_t>::max()) return Unexpected();
    if (list_->size() == kMaxArrayRank)
      return Fail(absl::StrCat(key_, " has more than ", kMaxArrayRank, " numbers"));
    list_->push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (state_ == State::kMetadata) {
      metadata[key_] = std::move(value);
      return true;
    }
    if (state_ != State::kTensor || key_ != "dtype") return Unexpected();
    entries.back().dtype = std::move(value);
    return true;
  }

  bool start_object(size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kTop:
        if (key_ == kMetadataKey) {
          state_ = State::kMetadata;
        } else {
          state_ = State::kTensor;
          entries.push_back({key_, {}, {}, {}});
        }
        return true;
      default:
        return Unexpected();
    }
  }

  bool key(std::string& key) override {
    key_ = std::move(key);
    switch (state_) {
      case State::kTop:
        if (names_.insert(key_).second) return true;
        error = absl::StrCat("two entries of the header are named ", QuotedForError(key_));
        return false;
      case State::kMetadata:
        return metadata.emplace(key_, "").second || Fail(absl::StrCat(QuotedForError(key_), " comes twice"));
      default: {
        const Entry& entry = entries.back();
        const bool known = key_ == "dtype" || key_ == "shape" || key_ == "data_offsets";
        if (!known) return Fail(absl::StrCat("unknown field ", QuotedForError(key_)));
        const bool twice = key_ == "dtype" ? entry.dtype.has_value()
                                           : (key_ == "shape" ? entry.shape : entry.offsets).has_value();
        return !twice || Fail(absl::StrCat(key_, " comes twice"));
      }
    }
  }

  bool end_object() override {
    if (state_ == State::kTensor) {
      const Entry& entry = entries.back();
      if (!entry.dtype.has_value()) return Fail("dtype is missing");
      if (!entry.shape.has_value()) return Fail("shape is missing");
      if (!entry.offsets.has_value()) return Fail("data_offsets are missing");
    }
    state_ = state_ == State::kTop ? State::kEnd : State::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (state_ != State::kTensor || key_ == "dtype") return Unexpected();
    absl::optional<std::vector<uint64_t>>& list =
        key_ == "shape" ? entries.back().shape : entries.back().offsets;
    list_ = &list.emplace();
    state_ = State::kList;
    return true;
  }

  bool end_array() override {
    state_ = State::kTensor;
    return key_ == "shape" || list_->size() == 2 || Unexpected();
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    if (error.empty()) error = absl::StrCat("the header is not valid JSON at its byte ", position);
    return false;
  }

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kList, kEnd };

  bool Fail(absl::string_view what) {
    const bool metadata = state_ == State::kMetadata;
    error = metadata ? absl::StrCat(kMetadataKey, ": ", what)
                     : absl::StrCat("tensor ", QuotedForError(entries.back().name), ": ", what);
    return false;
  }

  bool Unexpected() {
    switch (state_) {
      case State::kMetadata:
        return Fail(absl::StrCat("the value of ", QuotedForError(key_), " is not a string"));
      case State::kTensor:
      case State::kList:
        if (key_ == "dtype") return Fail("dtype is not a string");
        if (key_ == "shape") return Fail("shape is not a list of whole numbers from 0 to 2^63 - 1");
        return Fail("data_offsets are not two whole numbers from 0 to 2^63 - 1");
      case State::kTop:
        error = absl::StrCat("the header's entry ", QuotedForError(key_), " is not a JSON object");
        return false;
      default:
        error = "the header is not a JSON object";
        return false;
    }
  }

  State state_ = State::kStart;
  std::string key_;  // the last key read, at any level
  std::vector<uint64_t>* list_ = nullptr;
  absl::flat_hash_set<std::string> names_;
};

// Whether an array's last code ends within a byte, which the format refuses.
bool BitsLeftOver(ElementType type, uint64_t bytes) {
  const int bits = BitsOf(type);
  return bits < 8 && bytes % 8 * static_cast<uint64_t>(bits) % 8 != 0;
}

// The entry as an array of the file, its size checked against its dtype, its shape and the file.
absl::StatusOr<FileArray> ToArray(absl::string_view path, const Entry& entry, uint64_t data_start,
                                  uint64_t data_bytes) {
  const std::string who = absl::StrCat("tensor ", QuotedForError(entry.name));
  const absl::optional<ElementType> type = TypeOf(*entry.dtype);
  if (!type.has_value()) {
    return absl::UnimplementedError(absl::StrCat(
        path, ": ", who, " has dtype ", QuotedForError(*entry.dtype), "; Halftone reads ",
        absl::StrJoin(kTypeNames, ", ",
                      [](std::string* out, const TypeName& row) { absl::StrAppend(out, row.name); })));
  }
  const std::vector<int64_t> dims(entry.shape->begin(), entry.shape->end());
  const absl::optional<uint64_t> bytes = ArrayBytes(*type, dims), file_bytes = FileBytes(*type, dims);
  const uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
  const Shape shape(dims);
  if (!file_bytes.has_value()) {
    return Damaged(path, absl::StrCat(who, ": shape ", shape.ToString(), " is larger than any memory"));
  }
  if (BitsLeftOver(*type, *bytes)) {
    return Damaged(
        path, absl::StrCat(who, ": ", *entry.dtype, " of shape ", shape.ToString(), " ends within a byte"));
  }
  if (begin > end) {
    return Damaged(path, absl::StrCat(who, ": data_offsets end at ", end, ", before their begin at ", begin));
  }
  if (end > data_bytes) {
    return Damaged(path, absl::StrCat(who, " ends at byte ", end, " of the data, but the file has only ",
                                      data_bytes, ": it was cut short, or its header is wrong"));
  }
  if (end - begin != *file_bytes) {
    return Damaged(path, absl::StrCat(who, ": ", *entry.dtype, " of shape ", shape.ToString(), " takes ",
                                      *file_bytes, " bytes, but data_offsets give it ", end - begin));
  }
  return FileArray{entry.name, *type, shape, data_start + begin, *bytes};
}

// The arrays, sorted by offset, must cover [data_start, file_bytes) exactly.
absl::Status CheckCover(absl::string_view path, absl::Span<const FileArray> arrays, uint64_t data_start,
                        uint64_t file_bytes) {
  uint64_t next = data_start;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const FileArray& a = arrays[i];
    const std::string who = absl::StrCat("tensor ", QuotedForError(a.name));
    if (a.offset < next) {
      return Damaged(path, absl::StrCat(who, " overlaps tensor ", QuotedForError(arrays[i - 1].name)));
    }
    if (a.offset > next) {
      return Damaged(path, absl::StrCat(a.offset - next, " bytes before ", who, " belong to no tensor"));
    }
    next = a.offset + *FileBytes(a.type, a.shape.dims());
  }
  if (next == file_bytes) return absl::OkStatus();
  return Damaged(path, absl::StrCat(file_bytes - next, " bytes at the end of the file belong to no tensor"));
}

// As a JSON string.
absl::StatusOr<std::string> Quoted(absl::string_view path, absl::string_view text) {
  try {
    return nlohmann::json(std::string(text)).dump();
  } catch (const nlohmann::json::exception&) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write ", path, ": ", QuotedForError(text), " is not UTF-8"));
  }
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view path, absl::string_view json,
                                                         uint64_t file_bytes) {
  if (json.empty() || json[0] != '{')
    return Damaged(path, "the header does not begin with {; is this safetensors?");
  // The parser below takes a NUL for the end of its input, and would let anything hide behind it.
  if (const size_t nul = json.find('\0'); nul != absl::string_view::npos) {
    return Damaged(path, absl::StrCat("the header is not valid JSON at its byte ", nul + 1));
  }
  Handler handler;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &handler)) return Damaged(path, handler.error);

  const uint64_t data_start = kSafetensorsLengthBytes + json.size();
  SafetensorsHeader header;
  header.metadata = std::move(handler.metadata);
  header.arrays.reserve(handler.entries.size());
  for (const Entry& entry : handler.entries) {
    ASSIGN_OR_RETURN(FileArray array, ToArray(path, entry, data_start, file_bytes - data_start));
    header.arrays.push_back(std::move(array));
  }
  std::stable_sort(header.arrays.begin(), header.arrays.end(), [](const FileArray& a, const FileArray& b) {
    return std::tie(a.offset, a.bytes) < std::tie(b.offset, b.bytes);
  });
  RETURN_IF_ERROR(CheckCover(path, header.arrays, data_start, file_bytes));
  return header;
}

absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const InputFile& file) {
  const std::string& path = file.path();
  if (file.size() < kSafetensorsLengthBytes) {
    return Damaged(path,
                   absl::StrCat("the file has ", file.size(), " bytes; a safetensors file has at least 8"));
  }
  char prefix[kSafetensorsLengthBytes];
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(prefix)));
  uint64_t length;
  std::memcpy(&length, prefix, sizeof(length));
  if (length > kSafetensorsMaxHeader) {
    return Damaged(path,
                   absl::StrCat("the header's length is given as ", length, " bytes; the format allows ",
                                kSafetensorsMaxHeader, "; is this safetensors?"));
  }
  if (length > file.size() - kSafetensorsLengthBytes) {
    return Damaged(path,
                   absl::StrCat("the header's length is given as ", length, " bytes, but the file has only ",
                                file.size(), ": it was cut short, or is not safetensors"));
  }
  std::string json(length, '\0');
  RETURN_IF_ERROR(file.ReadAt(kSafetensorsLengthBytes, absl::MakeSpan(json)));
  return ParseSafetensorsHeader(path, json, file.size());
}

absl::StatusOr<std::string> MakeSafetensorsHeader(absl::string_view path, absl::Span<const FileArray> arrays,
                                                  const std::map<std::string, std::string>& metadata) {
  const auto refuse = [path](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", what...));
  };
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    for (const auto& [key, value] : metadata) {
      ASSIGN_OR_RETURN(const std::string k, Quoted(path, key));
      ASSIGN_OR_RETURN(const std::string v, Quoted(path, value));
      pairs.push_back(absl::StrCat(k, ":", v));
    }
    entries.push_back(absl::StrCat("\"", kMetadataKey, "\":{", absl::StrJoin(pairs, ","), "}"));
  }
  absl::flat_hash_set<absl::string_view> names;
  uint64_t begin = 0;
  for (const FileArray& a : arrays) {
    HALFTONE_CHECK(!a.fortran_order);
    if (a.name == kMetadataKey) return refuse("the format keeps the name ", kMetadataKey, " for itself");
    if (!names.insert(a.name).second) return refuse("two tensors are named ", QuotedForError(a.name));
    if (a.shape.rank() > kMaxArrayRank) {
      return refuse("tensor ", QuotedForError(a.name), " has more than ", kMaxArrayRank, " dimensions");
    }
    const uint64_t bytes = *FileBytes(a.type, a.shape.dims());
    if (BitsLeftOver(a.type, *ArrayBytes(a.type, a.shape.dims()))) {
      return refuse("tensor ", QuotedForError(a.name), ": ", NameOf(a.type), " of shape ", a.shape.ToString(),
                    " ends within a byte, which the format does not have");
    }
    ASSIGN_OR_RETURN(const std::string name, Quoted(path, a.name));
    entries.push_back(absl::StrCat(name, ":{\"dtype\":\"", NameInFile(a.type), "\",\"shape\":[",
                                   absl::StrJoin(a.shape.dims(), ","), "],\"data_offsets\":[", begin, ",",
                                   begin + bytes, "]}"));
    begin += bytes;
  }
  std::string json = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > kSafetensorsMaxHeader) {
    return refuse("the header would take ", json.size(), " bytes; the format allows ", kSafetensorsMaxHeader);
  }
  std::string length(kSafetensorsLengthBytes, '\0');
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(json.size() >> (8 * i));
  return absl::StrCat(length, json);
}

}  // namespace halftone
