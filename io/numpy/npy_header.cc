#include "io/numpy/npy_header.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "base/status_macros.h"
#include "io/file_errors.h"

namespace halftone {
namespace {

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// Far above what a plain dtype and kMaxArrayRank dimensions take.
constexpr uint64_t kMaxDict = 1 << 20;

struct TypeName {
  ElementType type;
  absl::string_view name;  // without the byte order
};

constexpr TypeName kTypeNames[] = {
    {ElementType::kF64, "f8"}, {ElementType::kF32, "f4"}, {ElementType::kF16, "f2"},
    {ElementType::kI64, "i8"}, {ElementType::kI32, "i4"}, {ElementType::kI16, "i2"},
    {ElementType::kI8, "i1"},  {ElementType::kU64, "u8"}, {ElementType::kU32, "u4"},
    {ElementType::kU16, "u2"}, {ElementType::kU8, "u1"},  {ElementType::kBool, "b1"},
};

// Reads Python literals off the front of a text.
class Literals {
 public:
  explicit Literals(absl::string_view text) : text_(text) {}

  bool Take(char c) {
    SkipSpace();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool AtEnd() {
    SkipSpace();
    return text_.empty();
  }

  // '...' or "...", without escapes: no field of the format needs one.
  absl::optional<absl::string_view> String() {
    SkipSpace();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return absl::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == absl::string_view::npos) return absl::nullopt;
    const absl::string_view value = text_.substr(1, end - 1);
    if (absl::StrContains(value, '\\')) return absl::nullopt;
    text_.remove_prefix(end + 1);
    return value;
  }

  absl::optional<bool> Bool() {
    SkipSpace();
    if (absl::ConsumePrefix(&text_, "True")) return true;
    if (absl::ConsumePrefix(&text_, "False")) return false;
    return absl::nullopt;
  }

  // From 0 to 2^63 - 1, with Python 2's L allowed behind.
  absl::optional<int64_t> Size() {
    SkipSpace();
    size_t digits = 0;
    while (digits < text_.size() && absl::ascii_isdigit(text_[digits])) ++digits;
    int64_t value;
    if (!absl::SimpleAtoi(text_.substr(0, digits), &value)) return absl::nullopt;
    text_.remove_prefix(digits);
    absl::ConsumePrefix(&text_, "L");
    return value;
  }

  // (), (3,), (3, 4) or (3, 4,).
  absl::optional<std::vector<int64_t>> Tuple() {
    std::vector<int64_t> dims;
    if (!Take('(')) return absl::nullopt;
    while (!Take(')')) {
      const absl::optional<int64_t> d = Size();
      if (!d.has_value()) return absl::nullopt;
      dims.push_back(*d);
      if (Take(',')) continue;
      // Without a comma, (3) is a number.
      if (dims.size() == 1 || !Take(')')) return absl::nullopt;
      break;
    }
    return dims;
  }

  absl::string_view rest() const { return text_; }

 private:
  void SkipSpace() { text_ = absl::StripLeadingAsciiWhitespace(text_); }

  absl::string_view text_;
};

absl::Status SetDType(absl::string_view path, absl::string_view descr, NpyHeader* header) {
  const char order = descr.empty() ? '\0' : descr[0];
  for (const TypeName& row : kTypeNames) {
    if (order == '\0' || descr.substr(1) != row.name) continue;
    if (order != '<' && order != '>' && !(order == '|' && SizeOf(row.type) == 1)) break;
    header->type = row.type;
    header->big_endian = order == '>';
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(
      path, ": dtype ", QuotedForError(descr), " is not one that Halftone reads: ",
      absl::StrJoin(kTypeNames, ", ",
                    [](std::string* out, const TypeName& row) { absl::StrAppend(out, row.name); }),
      ", after < or > for the byte order"));
}

}  // namespace

absl::StatusOr<NpyPrefix> ParseNpyPrefix(absl::string_view path, absl::string_view start,
                                         uint64_t file_bytes) {
  if (!absl::StartsWith(start, kMagic))
    return Damaged(path, "not a .npy file: it does not begin with \\x93NUMPY");
  if (start.size() < 8) return Damaged(path, "the file was cut short within its header");
  const int major = static_cast<uint8_t>(start[6]), minor = static_cast<uint8_t>(start[7]);
  if (major < 1 || major > 3 || minor != 0) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": format version ", major, ".", minor, "; Halftone reads 1.0, 2.0 and 3.0"));
  }
  const uint64_t length_bytes = major == 1 ? 2 : 4;
  NpyPrefix prefix;
  prefix.dict_offset = 8 + length_bytes;
  if (start.size() < prefix.dict_offset) return Damaged(path, "the file was cut short within its header");
  for (uint64_t i = 0; i < length_bytes; ++i) {
    prefix.dict_bytes |= uint64_t{static_cast<uint8_t>(start[8 + i])} << (8 * i);
  }
  if (prefix.dict_bytes > file_bytes - prefix.dict_offset) {
    return Damaged(path, absl::StrCat("the header's length is given as ", prefix.dict_bytes,
                                      " bytes, but the file has only ", file_bytes, ": it was cut short"));
  }
  if (prefix.dict_bytes > kMaxDict) {
    return Damaged(path, absl::StrCat("the header's length is given as ", prefix.dict_bytes,
                                      " bytes; an array of numbers needs at most ", kMaxDict));
  }
  return prefix;
}

absl::StatusOr<NpyHeader> ParseNpyDict(absl::string_view path, absl::string_view dict) {
  const auto wrong = [&](absl::string_view what, absl::string_view at) {
    return Damaged(path, absl::StrCat("the header ", what, " at ", QuotedForError(at.substr(0, 30))));
  };
  NpyHeader header;
  absl::optional<absl::string_view> descr;
  absl::optional<bool> fortran_order;
  absl::optional<std::vector<int64_t>> dims;
  Literals in(dict);
  if (!in.Take('{')) return wrong("is not a Python dictionary", in.rest());
  while (!in.Take('}')) {
    const absl::optional<absl::string_view> key = in.String();
    if (!key.has_value() || !in.Take(':')) return wrong("is not a Python dictionary", in.rest());
    if (*key == "descr" && !descr.has_value()) {
      if (in.Take('['))
        return absl::UnimplementedError(absl::StrCat(path, ": structured dtypes are not supported"));
      if (descr = in.String(); !descr.has_value()) return wrong("has no string for descr", in.rest());
    } else if (*key == "fortran_order" && !fortran_order.has_value()) {
      if (fortran_order = in.Bool(); !fortran_order.has_value()) {
        return wrong("has neither True nor False for fortran_order", in.rest());
      }
    } else if (*key == "shape" && !dims.has_value()) {
      if (dims = in.Tuple(); !dims.has_value()) {
        return wrong("has no tuple of whole numbers from 0 to 2^63 - 1 for shape", in.rest());
      }
    } else {
      return Damaged(path,
                     absl::StrCat("the header's field ", QuotedForError(*key), " is unknown or comes twice"));
    }
    if (in.Take(',')) continue;
    if (!in.Take('}')) return wrong("is not a Python dictionary", in.rest());
    break;
  }
  if (!in.AtEnd()) return wrong("goes on after the dictionary", in.rest());
  if (!descr.has_value()) return Damaged(path, "the header has no descr");
  if (!fortran_order.has_value()) return Damaged(path, "the header has no fortran_order");
  if (!dims.has_value()) return Damaged(path, "the header has no shape");
  RETURN_IF_ERROR(SetDType(path, *descr, &header));
  header.fortran_order = *fortran_order;
  if (dims->size() > kMaxArrayRank) {
    return Damaged(
        path, absl::StrCat("shape has ", dims->size(), " dimensions; at most ", kMaxArrayRank, " are read"));
  }
  header.shape = Shape(*dims);
  const absl::optional<uint64_t> bytes = ArrayBytes(header.type, *dims);
  if (!bytes.has_value()) {
    return Damaged(path, absl::StrCat("shape ", header.shape.ToString(), " is larger than any memory"));
  }
  header.bytes = *bytes;
  return header;
}

absl::StatusOr<NpyHeader> ReadNpyHeader(absl::string_view path, uint64_t file_bytes, ReadNext read) {
  std::string start(std::min(kNpyMaxPrefix, file_bytes), '\0');
  RETURN_IF_ERROR(read(absl::MakeSpan(start)));
  ASSIGN_OR_RETURN(const NpyPrefix prefix, ParseNpyPrefix(path, start, file_bytes));
  // Version 1.0's prefix is shorter than what was read.
  std::string dict = start.substr(prefix.dict_offset, prefix.dict_bytes);
  const size_t had = dict.size();
  dict.resize(prefix.dict_bytes);
  RETURN_IF_ERROR(read(absl::MakeSpan(dict).subspan(had)));
  ASSIGN_OR_RETURN(NpyHeader header, ParseNpyDict(path, dict));
  header.offset = prefix.dict_offset + prefix.dict_bytes;
  const uint64_t has = file_bytes - header.offset;
  if (has != header.bytes) {
    return Damaged(path, absl::StrCat(NameOf(header.type), " of shape ", header.shape.ToString(), " takes ",
                                      header.bytes, " bytes, but the file has ", has, " after its header",
                                      has < header.bytes ? ": it was cut short" : ""));
  }
  return header;
}

absl::StatusOr<std::string> MakeNpyHeader(absl::string_view path, ElementType type, const Shape& shape,
                                          bool fortran_order) {
  constexpr size_t kAlignment = 64;
  constexpr size_t kPrefix = 10;
  for (const TypeName& row : kTypeNames) {
    if (row.type != type) continue;
    std::string dict = absl::StrCat("{'descr': '", SizeOf(type) == 1 ? "|" : "<", row.name,
                                    "', 'fortran_order': ", fortran_order ? "True" : "False", ", 'shape': (",
                                    absl::StrJoin(shape.dims(), ", "), shape.rank() == 1 ? ",), }" : "), }");
    const size_t total = (kPrefix + dict.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
    dict.resize(total - kPrefix - 1, ' ');
    dict += '\n';
    if (shape.rank() > kMaxArrayRank) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write ", path, ": the tensor has more than ", kMaxArrayRank, " dimensions"));
    }
    const char prefix[] = {1, 0, static_cast<char>(dict.size()), static_cast<char>(dict.size() >> 8)};
    return absl::StrCat(kMagic, absl::string_view(prefix, sizeof(prefix)), dict);
  }
  return absl::UnimplementedError(absl::StrCat("cannot write ", path, ": NumPy has no ", NameOf(type),
                                               "; convert to float32, or write safetensors"));
}

}  // namespace halftone
