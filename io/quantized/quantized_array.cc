#include "io/quantized/quantized_array.h"

#include <cstddef>
#include <functional>
#include <numeric>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/optional.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "io/file_errors.h"
#include "nlohmann/json.hpp"
#include "quant/block_format.h"
#include "quant/pack.h"

namespace halftone {
namespace {

constexpr absl::string_view kPrefix = "halftone.quantized.";
// More than 64 dimensions need; and so no nesting can be deep.
constexpr size_t kMaxEntry = 4096;

bool IsStored(const QuantFormat& format) {
  struct {
    bool operator()(const FloatFormat& f) const { return f.bits() < 8; }
    bool operator()(const IntegerFormat& f) const { return !f.affine; }
    bool operator()(const BlockFormat&) const { return true; }
    bool operator()(const CodebookFormat&) const { return true; }
  } is_stored;
  return std::visit(is_stored, format);
}

ElementType CodesType(const QuantFormat& format) {
  if (const auto* integers = std::get_if<IntegerFormat>(&format)) {
    return integers->bits == 8 ? ElementType::kI8 : ElementType::kU8;
  }
  if (IsCodebook(format)) return ElementType::kU8;
  const auto* block = std::get_if<BlockFormat>(&format);
  if (block != nullptr && !block->element) return ElementType::kI8;
  const std::string_view name = block != nullptr ? block->element->name : std::get<FloatFormat>(format).name;
  const absl::optional<ElementType> type = ElementTypeFromName({name.data(), name.size()});
  HALFTONE_CHECK(type.has_value());
  return *type;
}

Shape ScalesShape(const QuantizedArray& array) {
  const absl::Span<const int64_t> dims = array.shape.dims();
  if (array.block() == nullptr)
    return array.rows() == 1 ? Shape() : Shape{static_cast<int64_t>(array.rows())};
  // The dimensions of the rows; all in one where they are none of the array's.
  std::vector<int64_t> shape;
  uint64_t rows = 1;
  for (size_t d = 0; d < dims.size() && rows < array.rows(); ++d) {
    shape.push_back(dims[d]);
    rows *= static_cast<uint64_t>(dims[d]);
  }
  if (rows != array.rows()) shape = {static_cast<int64_t>(array.rows())};
  shape.push_back(static_cast<int64_t>(array.block()->BlocksPerRow(array.row)));
  return Shape(absl::MakeConstSpan(shape));
}

// --- Entries of the metadata

using Json = nlohmann::ordered_json;

absl::optional<uint64_t> Whole(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned()) return absl::nullopt;
  return found->get<uint64_t>();
}

absl::optional<std::string> String(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return absl::nullopt;
  return found->get<std::string>();
}

absl::optional<std::vector<int64_t>> Dims(const Json& json) {
  const auto found = json.find("shape");
  if (found == json.end() || !found->is_array() || found->size() > kMaxArrayRank) return absl::nullopt;
  std::vector<int64_t> dims;
  for (const Json& dim : *found) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX) return absl::nullopt;
    dims.push_back(dim.get<int64_t>());
  }
  return dims;
}

// The entry's array; a message where it makes no sense.
absl::StatusOr<QuantizedArray> ParseEntry(absl::string_view name, absl::string_view text) {
  const auto wrong = [](absl::string_view what) { return absl::DataLossError(what); };
  if (text.size() > kMaxEntry) return wrong(absl::StrCat("it is longer than ", kMaxEntry, " bytes"));
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return wrong("it is no JSON object");

  const absl::optional<std::string> format_name = String(json, "format"), dtype = String(json, "dtype");
  if (!format_name.has_value()) return wrong("\"format\" is no string");
  const absl::StatusOr<QuantFormat> format = FindStoredFormat(*format_name);
  if (!format.ok()) return wrong(absl::StrCat("unknown format ", QuotedForError(*format_name)));
  QuantizedArray array = {.name = std::string(name), .format = *format};

  const absl::optional<ElementType> type = ElementTypeFromName(dtype.value_or(""));
  if (!type.has_value() || !IsFloat(*type)) return wrong("\"dtype\" is no type of floats");
  array.type = *type;

  const absl::optional<std::vector<int64_t>> dims = Dims(json);
  if (!dims.has_value()) return wrong("\"shape\" is no list of sizes");
  const absl::optional<uint64_t> bytes = ArrayBytes(ElementType::kF64, *dims);
  if (!bytes.has_value() || *bytes == 0) return wrong("\"shape\" is empty, or larger than any memory");
  array.shape = Shape(*dims);

  const uint64_t row = Whole(json, "row").value_or(0);
  if (row == 0 || array.numbers() % row != 0) {
    return wrong(absl::StrCat("\"row\" does not divide the ", array.numbers(), " numbers"));
  }
  array.row = row;
  const absl::optional<uint64_t> block = Whole(json, "block");
  const auto expected =
      array.block() != nullptr ? absl::optional<uint64_t>(array.block()->block) : absl::nullopt;
  if (block != expected || json.size() != (expected.has_value() ? 5u : 4u)) {
    return wrong(absl::StrCat("expected are format, ",
                              expected.has_value() ? absl::StrCat("block ", *expected, ", ") : "",
                              "row, dtype and shape"));
  }
  if (expected.has_value() && row % *expected != 0) {
    return wrong(absl::StrCat("rows of ", row, " numbers are no whole blocks of ", *expected));
  }
  return array;
}

}  // namespace

int QuantizedArray::code_bits() const {
  struct {
    int operator()(const FloatFormat& f) const { return f.bits(); }
    int operator()(const IntegerFormat& f) const { return f.bits; }
    int operator()(const BlockFormat& f) const { return f.element_bits(); }
    int operator()(const CodebookFormat& f) const { return f.bits; }
  } bits;
  return std::visit(bits, format);
}

std::vector<FileArray> QuantizedArray::Stored() const {
  const ElementType codes = CodesType(format);
  const auto packed = static_cast<int64_t>(PackedBytes(code_bits(), numbers()));
  std::vector<FileArray> stored = {{name, codes, codes == ElementType::kU8 ? Shape{packed} : shape}};
  ElementType scale = ElementType::kF32;
  if (block() != nullptr) scale = has_tensor_scale() ? ElementType::kF8E4M3FN : ElementType::kF8E8M0FNU;
  stored.push_back({scale_name(), scale, ScalesShape(*this)});
  if (has_tensor_scale()) stored.push_back({tensor_scale_name(), ElementType::kF32, Shape()});
  if (const auto* codebook = std::get_if<CodebookFormat>(&format)) {
    stored.push_back({codebook_name(), ElementType::kF32, Shape{codebook->size()}});
  }
  return stored;
}

std::pair<std::string, std::string> QuantizedArray::Metadata() const {
  Json json = {{"format", std::string(NameOf(format))}};
  if (block() != nullptr) json["block"] = block()->block;
  json["row"] = row;
  json["dtype"] = std::string(NameOf(type));
  json["shape"] = std::vector<int64_t>(shape.dims().begin(), shape.dims().end());
  return {absl::StrCat(kPrefix, name), json.dump()};
}

bool IsQuantizedKey(absl::string_view key) { return absl::StartsWith(key, kPrefix); }

absl::StatusOr<QuantFormat> FindStoredFormat(absl::string_view name) {
  const absl::StatusOr<QuantFormat> format = FindQuantFormat(name);
  if (format.ok() && IsStored(*format)) return format;
  std::vector<std::string> known;
  for (const QuantFormat& f : QuantFormats()) {
    if (IsStored(f)) known.emplace_back(NameOf(f));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown format '", name, "' of numbers with scales; known: ", absl::StrJoin(known, ", ")));
}

float TensorScaleOf(const BlockFormat& format, float amax) {
  uint8_t code, scale;
  float tensor_scale;
  QuantizeBlocks(format, {&amax, 1}, 1, {}, {&code, 1}, {&scale, 1}, &tensor_scale);
  return tensor_scale;
}

uint64_t BlockRow(const Shape& shape) {
  if (shape.rank() == 0) return 1;
  if (shape.rank() < 4) return static_cast<uint64_t>(shape[-1]);
  const absl::Span<const int64_t> inner = shape.dims().subspan(1);
  return static_cast<uint64_t>(std::accumulate(inner.begin(), inner.end(), int64_t{1}, std::multiplies<>()));
}

absl::StatusOr<QuantizedArray> PlanQuantized(const FileArray& array, const QuantFormat& format,
                                             bool per_channel) {
  HALFTONE_CHECK(IsFloat(array.type) && array.shape.rank() > 0 && array.shape.elements() > 0);
  QuantizedArray result = {.name = array.name, .format = format, .type = array.type, .shape = array.shape};
  const absl::string_view name = NameOf(format);
  const std::string who = absl::StrCat("array ", QuotedForError(array.name), " ", array.shape.ToString(),
                                       " cannot become ", name, ": ");
  const std::string leave_out = absl::StrCat("; leave it out: --exclude=", QuotedForError(array.name));
  if (const BlockFormat* block = result.block()) {
    HALFTONE_CHECK(!per_channel);
    result.row = BlockRow(array.shape);
    if (result.row % static_cast<uint64_t>(block->block) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          who, "its rows of ", result.row, " numbers are no whole blocks of ", block->block, leave_out));
    }
  } else {
    result.row = result.numbers() / (per_channel ? static_cast<uint64_t>(array.shape[0]) : 1);
  }
  if (const ElementType codes = CodesType(format);
      BitsOf(codes) < 8 && result.numbers() * result.code_bits() % 8 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(who, result.numbers(), " codes of ", result.code_bits(),
                                                   " bits end within a byte", leave_out));
  }
  return result;
}

absl::StatusOr<std::vector<QuantizedArray>> FindQuantized(absl::string_view path, const ArrayFile& file) {
  std::map<absl::string_view, const FileArray*> by_name;
  for (const FileArray& array : file.arrays()) by_name[array.name] = &array;
  std::vector<QuantizedArray> result;
  for (const auto& [key, text] : file.metadata()) {
    if (!IsQuantizedKey(key)) continue;
    const absl::string_view name = absl::string_view(key).substr(kPrefix.size());
    absl::StatusOr<QuantizedArray> array = ParseEntry(name, text);
    if (!array.ok()) {
      return Damaged(path, absl::StrCat("metadata ", QuotedForError(key), ": ", array.status().message()));
    }
    for (const FileArray& wanted : array->Stored()) {
      const auto found = by_name.find(wanted.name);
      const std::string expected = absl::StrCat(
          QuotedForError(wanted.name), ": expected ", NameOf(wanted.type), " ", wanted.shape.ToString(),
          " of quantised array ", QuotedForError(name), " in ", NameOf(array->format));
      if (found == by_name.end()) return Damaged(path, absl::StrCat("no array ", expected));
      const FileArray& is = *found->second;
      if (is.type != wanted.type || !(is.shape == wanted.shape)) {
        return Damaged(path,
                       absl::StrCat("array ", expected, ", not ", NameOf(is.type), " ", is.shape.ToString()));
      }
    }
    result.push_back(*std::move(array));
  }
  return result;
}

}  // namespace halftone
