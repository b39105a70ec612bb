#include "io/element_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "fp16/bfloat16.h"
#include "fp16/format.h"
#include "fp16/half.h"
#include "quant/formats.h"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are loaded as they lie in the chunk");

struct Row {
  ElementType type;
  absl::string_view name;
  int bits;
  absl::optional<DType> dtype;
};

const Row& RowOf(ElementType type) {
  static constexpr Row kRows[] = {
      {ElementType::kF64, "float64", 64, DType::kF64},
      {ElementType::kF32, "float32", 32, DType::kF32},
      {ElementType::kF16, "float16", 16, DType::kF16},
      {ElementType::kBF16, "bfloat16", 16, DType::kBF16},
      {ElementType::kF8E4M3FN, "float8_e4m3fn", 8, absl::nullopt},
      {ElementType::kF8E5M2, "float8_e5m2", 8, absl::nullopt},
      {ElementType::kF8E4M3FNUZ, "float8_e4m3fnuz", 8, absl::nullopt},
      {ElementType::kF8E5M2FNUZ, "float8_e5m2fnuz", 8, absl::nullopt},
      {ElementType::kF8E8M0FNU, "float8_e8m0fnu", 8, absl::nullopt},
      {ElementType::kF6E2M3FN, "float6_e2m3fn", 6, absl::nullopt},
      {ElementType::kF6E3M2FN, "float6_e3m2fn", 6, absl::nullopt},
      {ElementType::kF4E2M1FN, "float4_e2m1fn", 4, absl::nullopt},
      {ElementType::kI64, "int64", 64, DType::kI64},
      {ElementType::kI32, "int32", 32, DType::kI32},
      {ElementType::kI16, "int16", 16, absl::nullopt},
      {ElementType::kI8, "int8", 8, absl::nullopt},
      {ElementType::kU64, "uint64", 64, absl::nullopt},
      {ElementType::kU32, "uint32", 32, absl::nullopt},
      {ElementType::kU16, "uint16", 16, absl::nullopt},
      {ElementType::kU8, "uint8", 8, DType::kU8},
      {ElementType::kBool, "bool", 8, absl::nullopt},
  };
  const Row& row = kRows[static_cast<size_t>(type)];
  HALFTONE_CHECK(row.type == type);
  return row;
}

using ByteValues = std::array<float, 256>;

// What the bytes mean; those of a format of fewer bits by their lower bits.
constexpr ByteValues ValuesOf(const FloatFormat& format) {
  ByteValues values = {};
  for (uint32_t byte = 0; byte < values.size(); ++byte)
    values[byte] = static_cast<float>(Decode(format, byte % (1u << format.bits())));
  return values;
}

// By type, from kF8E4M3FN on.
constexpr ByteValues kByteValues[] = {
    ValuesOf(kFloat8E4m3fn),  ValuesOf(kFloat8E5m2),   ValuesOf(kFloat8E4m3fnuz), ValuesOf(kFloat8E5m2fnuz),
    ValuesOf(kFloat8E8m0fnu), ValuesOf(kFloat6E2m3fn), ValuesOf(kFloat6E3m2fn),   ValuesOf(kFloat4E2m1fn),
};

template <typename From, typename To>
void Convert(const char* from, absl::Span<To> to) {
  for (size_t i = 0; i < to.size(); ++i) {
    From x;
    std::memcpy(&x, from + i * sizeof(x), sizeof(x));
    to[i] = static_cast<To>(x);
  }
}

template <typename To>
void ConvertTable(const ByteValues& table, const char* from, absl::Span<To> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = table[static_cast<uint8_t>(from[i])];
}

template <typename To>
void ConvertAny(ElementType type, absl::Span<const char> bytes, absl::Span<To> to) {
  HALFTONE_CHECK(bytes.size() == to.size() * SizeOf(type));
  const char* from = bytes.data();
  switch (type) {
    case ElementType::kF64:
      return Convert<double>(from, to);
    case ElementType::kF32:
      return Convert<float>(from, to);
    case ElementType::kF16:
      return Convert<half>(from, to);
    case ElementType::kBF16:
      return Convert<bfloat16>(from, to);
    case ElementType::kF8E4M3FN:
    case ElementType::kF8E5M2:
    case ElementType::kF8E4M3FNUZ:
    case ElementType::kF8E5M2FNUZ:
    case ElementType::kF8E8M0FNU:
    case ElementType::kF6E2M3FN:
    case ElementType::kF6E3M2FN:
    case ElementType::kF4E2M1FN:
      return ConvertTable(
          kByteValues[static_cast<size_t>(type) - static_cast<size_t>(ElementType::kF8E4M3FN)], from, to);
    case ElementType::kI64:
      return Convert<int64_t>(from, to);
    case ElementType::kI32:
      return Convert<int32_t>(from, to);
    case ElementType::kI16:
      return Convert<int16_t>(from, to);
    case ElementType::kI8:
      return Convert<int8_t>(from, to);
    case ElementType::kU64:
      return Convert<uint64_t>(from, to);
    case ElementType::kU32:
      return Convert<uint32_t>(from, to);
    case ElementType::kU16:
      return Convert<uint16_t>(from, to);
    case ElementType::kU8:
      return Convert<uint8_t>(from, to);
    case ElementType::kBool:
      for (size_t i = 0; i < to.size(); ++i) to[i] = from[i] != 0;
      return;
  }
}

}  // namespace

size_t SizeOf(ElementType type) { return static_cast<size_t>(BitsOf(type) + 7) / 8; }

int BitsOf(ElementType type) { return RowOf(type).bits; }

absl::string_view NameOf(ElementType type) { return RowOf(type).name; }

absl::optional<ElementType> ElementTypeFromName(absl::string_view name) {
  for (const ElementType type : kAllElementTypes) {
    if (NameOf(type) == name) return type;
  }
  return absl::nullopt;
}

bool IsFloat(ElementType type) { return type <= ElementType::kF4E2M1FN; }

ElementType ElementTypeOf(DType dtype) {
  for (const ElementType type : kAllElementTypes) {
    if (DTypeOf(type) == dtype) return type;
  }
  HALFTONE_CHECK(false);
  return ElementType::kF32;
}

absl::optional<DType> DTypeOf(ElementType type) { return RowOf(type).dtype; }

void ConvertElements(ElementType type, absl::Span<const char> bytes, absl::Span<double> to) {
  ConvertAny(type, bytes, to);
}

void ConvertElements(ElementType type, absl::Span<const char> bytes, absl::Span<float> to) {
  ConvertAny(type, bytes, to);
}

void SwapElements(size_t size, absl::Span<char> bytes) {
  HALFTONE_CHECK(bytes.size() % size == 0);
  for (auto at = bytes.begin(); at != bytes.end(); at += size) std::reverse(at, at + size);
}

}  // namespace halftone
